// Package together has tests that mostly wait run more at a time than there are processors.
package together

import (
	"flag"
	"runtime"
	"strconv"
)

// Tests has four parallel tests of this program run at a time, or one for each processor if there are more, unless the
// flag -parallel says how many. It is for TestMain.
func Tests() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if said {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
}
