package gateway

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// sameUser checks that the process at the other end belongs to the user of this one.
func sameUser(c net.Conn) error {
	var cred *unix.Xucred
	if err := onSocket(c, func(fd int) (err error) {
		cred, err = unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		return err
	}); err != nil {
		return err
	}
	if int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("%w (uid %d)", ErrRefused, cred.Uid)
	}
	return nil
}
