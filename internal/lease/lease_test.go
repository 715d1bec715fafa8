package lease

import (
	"cmp"
	"testing"
	"testing/synctest"
	"time"
)

// D21: the table of a holder with a term of 30 s, on a clock that begins at 100 s.
func TestD21_Holder(t *testing.T) {
	const s = time.Second
	type moment struct {
		at    time.Duration
		e     event
		want  action
		given time.Duration
	}
	for name, moments := range map[string][]moment{
		"each answer counts from its request": {
			{100 * s, tick, action{ask: true, wake: 110 * s}, 0},
			{103 * s, answered, action{arm: 130 * s, wake: 110 * s}, 0},
			{110 * s, tick, action{ask: true, wake: 120 * s}, 0},
			{119 * s, answered, action{arm: 140 * s, wake: 120 * s}, 0},
			{120 * s, tick, action{ask: true, wake: 130 * s}, 0},
		},
		"without an answer it ends after two thirds": {
			{100 * s, tick, action{ask: true, wake: 110 * s}, 0},
			{101 * s, answered, action{arm: 130 * s, wake: 110 * s}, 0},
			{110 * s, tick, action{ask: true, wake: 120 * s}, 0},
			{120 * s, tick, action{end: true, wake: 130 * s}, 0},
			{130 * s, tick, action{wake: 140 * s}, 0},
		},
		"a failure is asked again soon, within the term that there is": {
			{100 * s, tick, action{ask: true, wake: 110 * s}, 0},
			{101 * s, answered, action{arm: 130 * s, wake: 110 * s}, 0},
			{110 * s, tick, action{ask: true, wake: 120 * s}, 0},
			{110 * s, refused, action{wake: 111 * s}, 0},
			{111 * s, tick, action{ask: true, wake: 120 * s}, 0},
			{119 * s, answered, action{arm: 141 * s, wake: 121 * s}, 0},
		},
		"without a first answer it waits": {
			{100 * s, tick, action{ask: true, wake: 110 * s}, 0},
			{110 * s, tick, action{wake: 120 * s}, 0},
			{120 * s, tick, action{wake: 130 * s}, 0},
			{200 * s, answered, action{ask: true, arm: 130 * s, end: true, wake: 210 * s}, 0}, // its term is over: the kernel ends it now
		},
		"an owner that may end soon gives less": {
			{100 * s, tick, action{ask: true, wake: 110 * s}, 0},
			{101 * s, answered, action{arm: 112 * s, wake: 104 * s}, 12 * s},
			{104 * s, tick, action{ask: true, wake: 108 * s}, 0},
			{105 * s, answered, action{arm: 134 * s, wake: 114 * s}, 0},
		},
		"it wakes after its term": {
			{100 * s, tick, action{ask: true, wake: 110 * s}, 0},
			{101 * s, answered, action{arm: 130 * s, wake: 110 * s}, 0},
			{500 * s, tick, action{ask: true, end: true, wake: 510 * s}, 0},
		},
	} {
		h := holder{term: 30 * s, asked: 70 * s}
		for i, m := range moments {
			if got := h.step(m.e, cmp.Or(m.given, 30*s), m.at); got != m.want {
				t.Errorf("D21: %s: %d: %+v, expected %+v", name, i, got, m.want)
			}
		}
	}
}

// D21: an owner knows that a holder is gone when its last term is certainly over, and gives no answer after that.
func TestD21_Owner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, begun := NewOwner(5*time.Second, nil), time.Now()
		for range 3 {
			time.Sleep(time.Second)
			if given, err := o.Renew(); err != nil || given != 5*time.Second {
				t.Error(err)
			}
		}
		if !o.Expired(nil) || time.Since(begun) != 8*time.Second+Margin(5*time.Second) {
			t.Errorf("D21: it has expired after %v", time.Since(begun))
		}
		if _, err := o.Renew(); err == nil {
			t.Error("D21: a lease that is over is renewed")
		}
		stop := make(chan struct{})
		close(stop)
		if NewOwner(time.Second, nil).Expired(stop) {
			t.Error("D21: a lease that was never given has expired")
		}
		soon := time.Now().Add(2 * time.Second)
		if given, err := NewOwner(5*time.Second, func() time.Time { return soon }).Renew(); err != nil || given != 2*time.Second-Margin(5*time.Second) {
			t.Errorf("D21: an owner that ends in 2 s gives %v, %v", given, err)
		}
		ended := NewOwner(time.Second, nil)
		ended.End()
		if _, err := ended.Renew(); err == nil || !ended.Expired(nil) {
			t.Error("D21: a lease is given after its end")
		}
	})
}
