//go:build foreign

package foreign_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-plugin/examples/bidirectional/shared"
	"google.golang.org/grpc"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-2ba35074/trellis/host"
)

// use calls a program for what it is good for. dir is its working directory.
func use(ctx context.Context, t *testing.T, f *host.Portal, dir string) {
	t.Helper()
	uses := map[string]func(ctx context.Context, f *host.Portal, dir string) error{
		"plugin-go-grpc": useCounter, "plugin-go": useNegotiated, "terraform-provider-time": useProvider, "foo": useRuleSet,
	}
	if err := uses[f.Name()](ctx, f, dir); err != nil {
		t.Errorf("%s: %v", f.Name(), err)
	}
}

// adder is the host's half of the counter's interface, which the counter calls
// back over the broker.
type adder struct{}

func (adder) Sum(a, b int64) (int64, error) { return a + b, nil }

// useCounter uses the program through the client of its own package, unchanged.
func useCounter(ctx context.Context, f *host.Portal, _ string) error {
	raw, err := f.Dispense(ctx, &shared.CounterPlugin{})
	if err != nil {
		return err
	}
	counter := raw.(shared.Counter)
	before, _ := counter.Get("apples") // the first time there are none
	if err := counter.Put("apples", 3, adder{}); err != nil {
		return err
	}
	after, err := counter.Get("apples")
	if err == nil && after != before+3 {
		err = fmt.Errorf("%d and 3 made %d", before, after)
	}
	return err
}

// useNegotiated reads a file through the program. Its messages have one field, as
// the wrappers have; its own generated code has the same names as the counter's,
// and a program can have only one of them.
func useNegotiated(ctx context.Context, f *host.Portal, dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "kv_note"), []byte("milk\n"), 0o600); err != nil {
		return err
	}
	var got wrapperspb.BytesValue
	err := f.Services().Invoke(ctx, "/proto.KV/Get", wrapperspb.String("note"), &got)
	if err == nil && string(got.Value) != "milk\nRead by plugin version 3\n" {
		err = fmt.Errorf("got %q", got.Value)
	}
	return err
}

func useRuleSet(ctx context.Context, f *host.Portal, _ string) error {
	var name, version wrapperspb.StringValue // messages of one field, as the program's
	if err := f.Services().Invoke(ctx, "/proto.RuleSet/GetName", &emptypb.Empty{}, &name); err != nil {
		return err
	}
	err := f.Services().Invoke(ctx, "/proto.RuleSet/GetVersion", &emptypb.Empty{}, &version)
	if err == nil && (name.Value != "foo" || version.Value != "0.1.0") {
		err = fmt.Errorf("it is %q %q", name.Value, version.Value)
	}
	return err
}

// useProvider has a Terraform provider compute something.
func useProvider(ctx context.Context, f *host.Portal, _ string) error {
	reply, err := callByReflection(ctx, f.Services(), "tfplugin5.Provider", "CallFunction",
		`{"name": "unix_timestamp_parse", "arguments": [{"json": "ODY0MDA="}]}`) // 86400
	if err != nil {
		return err
	}
	result := reply.Get(reply.Descriptor().Fields().ByName("result")).Message()
	packed := result.Get(result.Descriptor().Fields().ByName("msgpack")).Bytes()
	const want = "1970-01-02T00:00:00Z"
	if !containsText(packed, want) {
		return fmt.Errorf("the second day of 1970 came as %q, want %s in it", reply, want)
	}
	return nil
}

func containsText(b []byte, text string) bool {
	for i := range len(b) - len(text) + 1 {
		if string(b[i:i+len(text)]) == text {
			return true
		}
	}
	return false
}

// callByReflection calls a method whose description the program gives itself, as
// every go-plugin program does.
func callByReflection(ctx context.Context, conn grpc.ClientConnInterface, service, method, args string) (protoreflect.Message, error) {
	files, err := describe(ctx, conn, service)
	if err != nil {
		return nil, err
	}
	found, err := files.FindDescriptorByName(protoreflect.FullName(service + "." + method))
	if err != nil {
		return nil, err
	}
	m := found.(protoreflect.MethodDescriptor)
	request, reply := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	if err := protojson.Unmarshal([]byte(args), request); err != nil {
		return nil, err
	}
	return reply, conn.Invoke(ctx, "/"+service+"/"+method, request, reply)
}

// files are the descriptions of a service and of what it uses.
type files interface {
	FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error)
}

func describe(ctx context.Context, conn grpc.ClientConnInterface, service string) (files, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := reflection.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&reflection.ServerReflectionRequest{
		MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service},
	}); err != nil {
		return nil, err
	}
	answer, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	var set descriptorpb.FileDescriptorSet
	for _, raw := range answer.GetFileDescriptorResponse().GetFileDescriptorProto() {
		var file descriptorpb.FileDescriptorProto
		if err := proto.Unmarshal(raw, &file); err != nil {
			return nil, err
		}
		set.File = append(set.File, &file)
	}
	return protodesc.NewFiles(&set)
}
