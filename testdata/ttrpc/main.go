// Command ttrpc makes and times calls of ttrpc, as [measure.Order] lines on its input say,
// and answers each with a [measure.Found]. It starts its server, which is the same
// program, and ends it when its input ends.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"

	"github.com/containerd/ttrpc"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/measure"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/plain"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/socket"
)

const (
	service = "plain.v1.Plain"
	method  = "Call"
	server  = "server" // the argument that makes the program the server
)

func main() {
	run := drive
	if len(os.Args) == 2 && os.Args[1] == server {
		run = serve
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// serve answers each call with what it was given.
func serve() error {
	s, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	s.RegisterService(service, &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		method: func(_ context.Context, unmarshal func(any) error) (any, error) {
			var p plain.Payload
			if err := unmarshal(&p); err != nil {
				return nil, err
			}
			return &p, nil
		},
	}})
	return socket.Serve(func(l net.Listener) error { return s.Serve(context.Background(), l) })
}

// drive starts the server and follows the orders.
func drive() (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := socket.Start(exec.Command(self, server))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	conn, err := p.Dial(context.Background())
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(conn)
	defer func() { err = errors.Join(err, client.Close()) }()
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(measure.Started{Server: p.PID()}); err != nil {
		return err
	}
	for in := json.NewDecoder(os.Stdin); ; {
		var order measure.Order
		if err := in.Decode(&order); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		found, err := follow(client, order)
		if err != nil {
			return err
		}
		if err := out.Encode(found); err != nil {
			return err
		}
	}
}

func follow(client *ttrpc.Client, o measure.Order) (measure.Found, error) {
	payload := &plain.Payload{Data: make([]byte, o.Size)}
	return measure.Calls(context.Background(), o.Callers, o.Length, func(ctx context.Context) error {
		var answer plain.Payload
		if err := client.Call(ctx, service, method, payload, &answer); err != nil {
			return err
		}
		if len(answer.Data) != o.Size {
			return fmt.Errorf("%d bytes came back, expected %d", len(answer.Data), o.Size)
		}
		return nil
	})
}
