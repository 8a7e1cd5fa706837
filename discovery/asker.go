package discovery

import (
	"math/rand/v2"
	"time"
)

// asker decides when to ask who is there. Every answer for all to hear is a packet for every machine on the link, and there are as
// many answers as nodes: fifty nodes that each ask once a minute, as zeroconf does, keep a link busy with 100 KB a second. So
// only the first questions, which have answers that go to the asker alone, are a node's own. After that one node's question serves
// all (RFC 6762, section 7.3), in IPv4 and IPv6 together: whoever hears it waits anew. Somebody who asks all the time keeps nobody hidden by that, because
// everybody answers.
type asker struct {
	began  time.Time
	step   int // of those at the start
	heard  bool
	public time.Time // when somebody asked for all to hear, or we began to wait for that
	jitter time.Duration
	chance func(time.Duration) time.Duration // picks less than that
}

func newAsker(now time.Time) *asker {
	return &asker{began: now, public: now, chance: rand.N[time.Duration]}
}

type questionKind uint8

const (
	askNobody questionKind = iota
	askAlone               // the answers are for us alone
	askAll                 // they are for all to hear
)

// starting are the questions after the start. The second one is for those who do not answer one alone, or whose answer a firewall
// keeps from us, and is left out when somebody was heard.
var starting = []struct {
	after time.Duration
	kind  questionKind
}{{0, askAlone}, {time.Second, askAll}, {4 * time.Second, askAlone}}

// due is when ask wants to be called.
func (a *asker) due() time.Time {
	if a.step < len(starting) {
		return a.began.Add(starting[a.step].after)
	}
	return a.public.Add(refresh + a.jitter)
}

// ask says what to ask now, if it is time for anything.
func (a *asker) ask(now time.Time) questionKind {
	if now.Before(a.due()) {
		return askNobody
	}
	kind := askAll
	if a.step < len(starting) {
		kind = starting[a.step].kind
		if kind == askAll && a.heard {
			kind = askNobody
		}
		a.step++
	}
	if kind == askAll {
		a.overheard(now)
	}
	return kind
}

// overheard notes that all were asked.
func (a *asker) overheard(now time.Time) { a.public, a.jitter = now, a.chance(refresh/2) }
