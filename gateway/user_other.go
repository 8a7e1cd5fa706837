//go:build !linux && !darwin

package gateway

import "net"

// sameUser has nobody to ask here: the directory of the socket keeps others out.
func sameUser(net.Conn) error { return nil }
