package etcdembed_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/seed-2ba35074/trellis/fleet"
)

// asked is an operation on one name, and its answer.
type asked struct {
	what string // hold, release or find
	name string
	host string
}

type answer struct {
	holder string // "" if nobody
	epoch  uint64
	lost   bool // nobody knows
}

// holding is the state of a name. An epoch that is 0 is not known, as the answer to its Hold was lost.
type holding struct {
	holder string
	epoch  uint64
	last   uint64 // the highest that was seen
}

// step gives the states in which a name can be after an operation with that answer; none if it cannot be.
func step(s holding, in asked, out answer) []holding {
	seen := func(holder string, epoch uint64) []holding {
		switch {
		case s.holder != holder, s.epoch != 0 && s.epoch != epoch, s.epoch == 0 && epoch <= s.last:
			return nil
		}
		return []holding{{holder, epoch, max(s.last, epoch)}}
	}
	taken := holding{in.host, out.epoch, max(s.last, out.epoch)}
	switch {
	case in.what == "release" && s.holder == in.host:
		free := holding{last: s.last}
		if out.lost {
			return []holding{s, free}
		}
		return []holding{free}
	case in.what == "release", out.lost && (in.what == "find" || s.holder != ""):
		return []holding{s}
	case out.lost:
		return []holding{s, {holder: in.host, last: s.last}}
	case in.what == "find" && out.holder == "":
		if s.holder != "" {
			return nil
		}
		return []holding{s}
	case in.what == "hold" && out.holder == in.host && s.holder == "":
		if out.epoch <= s.last {
			return nil
		}
		return []holding{taken}
	}
	return seen(out.holder, out.epoch)
}

var model = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		names := map[string][]porcupine.Operation{}
		for _, o := range history {
			names[o.Input.(asked).name] = append(names[o.Input.(asked).name], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range names {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{holding{}} },
	Step: func(state, in, out any) (next []any) {
		for _, s := range step(state.(holding), in.(asked), out.(answer)) {
			next = append(next, s)
		}
		return next
	},
	Equal:             func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
}

// history is what clients have asked, and when.
type history struct {
	sync.Mutex
	began time.Time
	all   []porcupine.Operation
}

func (h *history) do(client int, in asked, ask func() (answer, error)) error {
	call := time.Since(h.began)
	out, err := ask()
	back := time.Since(h.began)
	if errors.Is(err, fleet.ErrUnavailable) {
		out, err, back = answer{lost: true}, nil, math.MaxInt64 // it may be done at any time
	}
	h.Lock()
	defer h.Unlock()
	h.all = append(h.all, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: int64(call), Return: int64(back)})
	return err
}

// play has a member hold, release and find names at random.
func (h *history) play(t *testing.T, client int, r fleet.Registry, m fleet.Membership, host string, rounds int) {
	random := rand.New(rand.NewPCG(uint64(client), 7)) //nolint:gosec // a schedule
	for range rounds {
		in := asked{[]string{"hold", "release", "find"}[random.IntN(3)], fmt.Sprintf("n/%d", random.IntN(3)), host}
		err := h.do(client, in, func() (answer, error) {
			switch in.what {
			case "hold":
				epoch, err := m.Hold(t.Context(), in.name)
				if held, ok := errors.AsType[*fleet.HeldError](err); ok {
					return answer{holder: held.Holder.Name, epoch: held.Epoch}, nil
				}
				return answer{holder: host, epoch: epoch}, err
			case "release":
				return answer{}, m.Release(t.Context(), in.name)
			}
			e, err := r.Find(t.Context(), in.name)
			if errors.Is(err, fleet.ErrNotHeld) {
				return answer{}, nil
			}
			return answer{holder: e.Holder.Name, epoch: e.Epoch}, err
		})
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func (h *history) check(t *testing.T) {
	t.Helper()
	lost := 0
	for _, o := range h.all {
		if o.Output.(answer).lost {
			lost++
		}
	}
	result, _ := porcupine.CheckOperationsVerbose(model.ToModel(), h.all, time.Minute)
	t.Logf("%d operations, of which %d have no answer: %v", len(h.all), lost, result)
	if result == porcupine.Illegal { // and not that the minute was over
		t.Error("there is no order of these operations that explains all answers")
	}
}

// What hosts are told is linearizable, also while the servers are killed and frozen in turn.
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	servers := threeServers(t)
	endpoints := []string{servers[0].address, servers[1].address, servers[2].address}
	h := &history{began: time.Now()}
	var clients sync.WaitGroup
	for i := range 4 {
		r := closing(t, open(t, long, endpoints...))
		host := fmt.Sprintf("h%d", i)
		m := join(t, r, host)
		clients.Go(func() { h.play(t, i, r, m, host, 150) })
	}
	watcher := closing(t, open(t, long, endpoints...))
	for _, s := range servers {
		s.kill()
		again(t, func() error { _, err := watcher.Hosts(t.Context()); return err })
		s.start()
		s.ready()
	}
	clients.Wait()
	h.check(t)
}

// The same with a registry in memory: it checks the model, too.
func TestHistoriesOfMemoryAreLinearizable(t *testing.T) {
	t.Parallel()
	memory := fleet.NewMemory()
	h := &history{began: time.Now()}
	var clients sync.WaitGroup
	for i := range 4 {
		host := fmt.Sprintf("h%d", i)
		r := memory.Client(fleet.Settings{})
		m := join(t, r, host)
		clients.Go(func() { h.play(t, i, r, m, host, 300) })
	}
	clients.Wait()
	h.check(t)
	last := &h.all[len(h.all)-1]
	last.Input, last.Output = asked{"find", "n/0", "h0"}, answer{holder: "nobody", epoch: 1}
	if porcupine.CheckOperations(model.ToModel(), h.all) {
		t.Error("a history with a wrong answer passes")
	}
}
