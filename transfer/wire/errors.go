package wire

import "fmt"

// Kind says what is wrong with a message. All but Misuse are the sender's fault, and end the stream.
type Kind uint8

// The ways a message can be wrong.
const (
	Malformed Kind = iota + 1 // the bytes are no message: cut short, too long, not in the one form that is allowed
	TooBig                    // a length above its limit
	TooMany                   // a count or a number above its limit
	Version                   // a frame, a required field or a code that this version does not know
	OutOfTurn                 // a message that must not stand here: before the hello, a second hello
	Misuse                    // the caller of this package asked for what the protocol does not allow
)

func (k Kind) String() string {
	switch k {
	case Malformed:
		return "malformed"
	case TooBig:
		return "too big"
	case TooMany:
		return "too many"
	case Version:
		return "not known to this version"
	case OutOfTurn:
		return "out of turn"
	case Misuse:
		return "misuse"
	}
	return "unknown"
}

// Error is the only type of error that this package makes. What a stream returns is passed on as it is, so an Error means
// that the peer broke the protocol, and anything else that the line did. It never holds bytes that the peer chose.
type Error struct {
	Kind  Kind
	Frame string // which message, empty when that is not known yet
	What  string // which part of it, and what about it
}

func (e *Error) Error() string {
	if e.Frame == "" {
		return fmt.Sprintf("%v: %s", e.Kind, e.What)
	}
	return fmt.Sprintf("%s: %v: %s", e.Frame, e.Kind, e.What)
}

func fail(f frame, k Kind, what string) error {
	name := ""
	if f != 0 {
		name = f.String()
	}
	return &Error{k, name, what}
}
