package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is what /proc counts CPU time in: USER_HZ, 100 a second wherever Go runs.
const clockTick = time.Second / 100

// readProcess reads what a process has used; pid 0 is this one.
func readProcess(pid int) (s processState, err error) {
	name := "self"
	if pid != 0 {
		name = strconv.Itoa(pid)
	}
	text, err := os.ReadFile("/proc/" + name + "/stat")
	if err != nil {
		return s, err
	}
	// The second field is the program's name in parentheses, which may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const user, system, threads = 11, 12, 17
	if len(fields) <= threads {
		return s, fmt.Errorf("/proc/%s/stat has %d fields after the name, expected more than %d", name, len(fields), threads)
	}
	ticks := 0
	for _, i := range []int{user, system} {
		n, err := strconv.Atoi(string(fields[i]))
		if err != nil {
			return s, err
		}
		ticks += n
	}
	s.used = time.Duration(ticks) * clockTick
	s.threads, err = strconv.Atoi(string(fields[threads]))
	return s, err
}
