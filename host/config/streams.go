package config

import "reflect"

// Streams say how an actor receives messages, in all of its contexts and sources that
// do not say otherwise.
type Streams struct {
	// Messages and Bytes are the room that a receive buffer has, whichever is used up
	// first. A single message may be larger than Bytes.
	Messages int  `yaml:"messages" json:"messages,omitempty" default:"64" max:"1073741824"`
	Bytes    Size `yaml:"bytes" json:"bytes,omitempty" default:"4MiB" max:"1GiB"`
	// Most is how many messages the buffer may grow to, for a reader that keeps up with
	// its sender: 8,192 if Messages is not set either, and else it does not grow.
	Most int `yaml:"most" json:"most,omitempty"`
	// ReadyTimeout is how long a task may take to open its end of a stream, once its
	// peer has more messages for it than the buffer has room for.
	ReadyTimeout Duration `yaml:"ready_timeout" json:"ready_timeout,omitempty" default:"500ms"`
}

// maxRoom bounds the Messages and Bytes of a receive buffer.
const maxRoom = 1 << 30

// Check says what is wrong with the settings by themselves.
func (s Streams) Check() error {
	c := &checker{}
	at := (*place)(nil).key("streams")
	c.values(reflect.ValueOf(s), at)
	c.streams(s, at)
	return c.err()
}

// streams checks what the tags cannot say: the least that Most may be is Messages, which has its
// default if it is not given. Otherwise a buffer would begin with more than it may grow to.
func (c *checker) streams(s Streams, at *place) {
	if least := withDefaults(s).Messages; s.Most > maxRoom || s.Most > 0 && s.Most < least {
		c.note(at.key("most"), "expected a whole number from messages (%d) to %d, got %d", least, maxRoom, s.Most)
	}
}
