package transfer

import "github.com/shoal-p2p/shoal/content"

// leastAsked is what any session may have asked for and not stored, in bytes: while one chunk travels, the next is asked for.
const leastAsked = 2 * content.ChunkSize

// promise sets aside what a download may have asked for and not stored: a quarter of what is left of maxUnverified, but no more
// than maxInFlight and never less than it takes to go on. repay gives it back.
func (s *Service) promise() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(s.mayAsk(), max((maxUnverified-s.promised)/4, leastAsked))
	s.promised += n
	return n
}

func (s *Service) repay(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.promised -= n
}

// mayAsk is what a session may ask for because of the limit on what comes in: with a low rate not so much that a chunk takes
// longer than need be, or that peers wait with what they have sent.
func (s *Service) mayAsk() int {
	rate := s.downGate.rate()
	if rate == 0 {
		return maxInFlight
	}
	least := leastAsked
	if s.exempt != nil {
		least *= 4 // it may come from near peers all the same
	}
	return min(max(int(rate*askAhead.Seconds()), least), maxInFlight)
}
