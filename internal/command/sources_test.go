package command

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A burst of saves is one build, and saves without end do not put it off for ever.
func TestABurstOfSavesIsOneBuild(t *testing.T) {
	for _, test := range []struct{ every, most, want time.Duration }{
		{settle - 1, 2 * (settle - 1), 3*settle - 2}, // three of them
		{settle / 2, time.Hour, longest},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), test.most+1)
			defer cancel()
			watcher := &fsnotify.Watcher{Events: make(chan fsnotify.Event), Errors: make(chan error)}
			go func() {
				for ctx.Err() == nil {
					select {
					case watcher.Events <- fsnotify.Event{Name: "/p/main.go", Op: fsnotify.Create}:
						time.Sleep(test.every)
					case <-ctx.Done():
					}
				}
			}()
			begun := time.Now()
			s := sources{watcher: watcher, folders: map[string]map[string]bool{"./p": {"/p": true}, "./q": {"/q": true}}}
			if saved, err := s.await(t.Context()); err != nil || !slices.Equal(saved, []string{"./p"}) || time.Since(begun) != test.want {
				t.Errorf("saves every %v: %v, %v, after %v; want %v", test.every, saved, err, time.Since(begun), test.want)
			}
		})
	}
}
