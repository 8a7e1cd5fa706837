//go:build !unix

package virtual

import "time"

// resources are not known here.
func resources() (processor time.Duration, memory int64) { return 0, 0 }
