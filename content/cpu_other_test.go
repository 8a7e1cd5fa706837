//go:build !unix

package content

import "time"

var start = time.Now()

// cpuTime returns the time since the tests were started: it is not worth more effort here.
func cpuTime() time.Duration { return time.Since(start) }
