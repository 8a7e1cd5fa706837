package testnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// puppets are a fleet whose fetches take a time and then succeed, as long as the node is not taken down.
type puppets struct {
	sc    *Scenario
	takes time.Duration // of a fetch

	mu    sync.Mutex // guards the rest
	did   []string   // with the time
	begun time.Time
	ends  map[string]chan struct{} // closed when the node goes down
	state map[string]State
}

func newPuppets(sc *Scenario, takes time.Duration) *puppets {
	f := &puppets{sc: sc, takes: takes, begun: time.Now(), ends: map[string]chan struct{}{}, state: map[string]State{}}
	for _, n := range sc.Nodes {
		f.ends[n.Name], f.state[n.Name] = make(chan struct{}), StateUp
	}
	return f
}

func (f *puppets) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, fmt.Sprint(time.Since(f.begun), " ", fmt.Sprintf(format, args...)))
}

func (f *puppets) Nodes() (out []Node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.sc.Nodes {
		out = append(out, Node{Spec: n, Peer: "peer-" + n.Name, Home: "/" + n.Name, Addrs: []string{"/addr/" + n.Name}, State: f.state[n.Name]})
	}
	return out
}

func (f *puppets) Status(context.Context, string) (node.Status, error) {
	return node.Status{Up: 1000, Down: 2000, Memory: 3000, Peers: 1}, nil
}

func (f *puppets) Share(_ context.Context, name string, r node.ShareRequest) (node.Shared, error) {
	f.note("%s shares %s", name, r.Paths[0])
	return node.Shared{CID: "cid", Ticket: "ticket", Bytes: 1 << 20}, nil
}

func (f *puppets) Find(context.Context, string, node.FindRequest) (node.Found, error) {
	return node.Found{Providers: []node.Provider{{Peer: "p", Addrs: []string{"/a"}}}, Asked: 7, Hops: 2, Seconds: 0.5}, nil
}

func (f *puppets) Fetch(ctx context.Context, name string, r node.FetchRequest, emit func(node.Event)) (node.Event, error) {
	f.note("%s fetches %s %v", name, r.Ref, r.Peers)
	f.mu.Lock()
	end := f.ends[name]
	f.mu.Unlock()
	emit(node.Event{Kind: "fetching", Bytes: 1 << 19, Total: 1 << 20, Duplicate: 10, Sources: []node.Source{{Peer: "peer-b", Bytes: 1 << 19}}})
	emit(node.Event{Kind: "checking", Bytes: 1 << 20, Total: 1 << 20})
	select {
	case <-time.After(f.takes):
		return node.Event{Kind: "done", CID: r.Ref, Bytes: 1 << 20, Sources: []node.Source{{Peer: "peer-b", Bytes: 1 << 19}}}, nil
	case <-end:
		return node.Event{}, errors.New("the node went away")
	case <-ctx.Done():
		return node.Event{}, context.Cause(ctx)
	}
}

func (f *puppets) down(name, how string, s State) error {
	f.note("%s %s", name, how)
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.ends[name])
	f.state[name] = s
	return nil
}

func (f *puppets) Stop(_ context.Context, name string) error {
	return f.down(name, "stops", StateStopped)
}

func (f *puppets) Kill(_ context.Context, name string) error {
	return f.down(name, "dies", StateKilled)
}

func (f *puppets) Start(_ context.Context, name string) error {
	f.note("%s starts", name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ends[name], f.state[name] = make(chan struct{}), StateUp
	return nil
}

func (f *puppets) Shape(_ context.Context, name string, l Link) error {
	f.note("%s has %.0f up", name, l.Up)
	return nil
}

func (f *puppets) Partition(_ context.Context, sides [][]string) error {
	f.note("cut %v", sides)
	return nil
}

func (f *puppets) Heal(context.Context) error {
	f.note("heal")
	return nil
}

// act plays a scenario with puppets in virtual time and returns what they did and what the judge says.
func act(t *testing.T, sc *Scenario, takes time.Duration, meanwhile func(*puppets)) (did []string, events, verdicts []Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, j, begun := newPuppets(sc, takes), newJudge(sc), time.Now()
		var mu sync.Mutex
		record := func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			e.T = time.Since(begun).Seconds()
			events = append(events, e)
			j.hear(e)
		}
		for _, n := range sc.Nodes {
			record(Event{Kind: "up", Node: n.Name})
		}
		if meanwhile != nil {
			go meanwhile(f)
		}
		if err := newPlayer(sc, f, record).play(t.Context()); err != nil {
			t.Error(err)
		}
		did, verdicts = f.did, j.verdicts()
	})
	return did, events, verdicts
}

func TestStepsAreDoneAtTheirTimes(t *testing.T) {
	sc := parsed(t, sound+`- {at: 2s, partition: [[b]]}
- {at: 3s, heal: true}
- {at: 4s, slow: b, link: {up: 8Mbit}}
- {at: 5s, restart: a-1, down: 2s}
- {at: 6s, kill: a-2}
`)
	did, _, _ := act(t, sc, 10*time.Second, nil)
	slices.Sort(did)
	want := []string{
		"0s b shares /.files/b/film", "1s a-1 fetches cid []", "1s a-2 fetches cid []", "1s a-3 fetches cid []",
		"2s cut [[b] [a-1 a-2 a-3]]", "3s heal", "4s b has 1000000 up", "5s a-1 stops", "6s a-2 dies", "7s a-1 fetches cid []", "7s a-1 starts",
	}
	if !slices.Equal(did, want) {
		t.Errorf("what was done is\n%s\nwant\n%s", strings.Join(did, "\n"), strings.Join(want, "\n"))
	}
}

func TestLiarsAreNamedToThoseWhoFetch(t *testing.T) {
	sc := parsed(t, `groups: [{name: a}, {name: b}, {name: c, role: liar}]
content: [{name: film, size: 1MiB}]
steps: [{at: 0s, share: film, by: [b, c]}, {at: 1s, fetch: film, by: a, from: ticket}]`)
	did, _, _ := act(t, sc, time.Second, nil)
	if !slices.Contains(did, "1s a fetches ticket [/addr/c]") {
		t.Errorf("a was not told of the liar: %q", did)
	}
}

func TestExpectationsHoldAndFail(t *testing.T) {
	linked := "link: {rate: 8Mbit}\n" + sound
	crash := func(f *puppets) {
		time.Sleep(2 * time.Second)
		_ = f.down("a-3", "crashes", StateCrashed)
	}
	for _, c := range []struct {
		name, text string
		takes      time.Duration
		meanwhile  func(*puppets)
		ok         bool
		got        string
	}{
		{"complete in time", sound + "expect: [{complete: a, of: film, within: 3s}]", 2 * time.Second, nil, true, "2.0s"},
		{"complete too late", sound + "expect: [{complete: a, of: film, within: 3s}]", 4 * time.Second, nil, false, "4.0s"},
		{"complete in a multiple", linked + "expect: [{complete: a, of: film, within: 2x}]", 2 * time.Second, nil, true, "1.91x (2.0s)"},
		{"complete in more", linked + "expect: [{complete: a, of: film, within: 2x}]", 3 * time.Second, nil, false, "2.86x (3.0s)"},
		{"never complete", "limit: 5s\n" + sound + "expect: [{complete: a, of: film}]", time.Minute, nil, false, "0 of 3; a-3: it was not complete when the run ended"},
		{"alive", sound + "- {at: 1s, kill: a-1}\nexpect: [{alive: all}]", time.Second, nil, true, "3"},
		{"crashed", sound + "expect: [{alive: all}]", 5 * time.Second, crash, false, "3; a-3 crashed"},
		{"nothing twice", sound + "expect: [{duplicates: 0%}]", time.Second, nil, true, "0.0%"},
		{"twice after a kill", sound + "- {at: 2s, restart: a-1}\nexpect: [{duplicates: 0%}]", 3 * time.Second, nil, false, "0.0%"},
		{"sent little", sound + "expect: [{sent: b, most: 1x}]", time.Second, nil, true, "0.00x (0.0 MiB)"},
		{"sent too much", sound + "expect: [{sent: b, most: 0x}]", time.Second, nil, false, "0.00x (0.0 MiB)"},
		{"not compared", sound + "expect: [{equal: film}]", time.Second, nil, false, "0"},
		{"no look-up", sound + "expect: [{found: 100%}]", time.Second, nil, false, "there was none"},
		{"look-ups", found("p95: 1s, asked: 7"), time.Second, nil, true, "1 of 1, 95% within 500ms, 7.0 asked"},
		{"slow look-ups", found("p95: 400ms"), time.Second, nil, false, "1 of 1, 95% within 500ms, 7.0 asked"},
		{"asking many", found("asked: 6"), time.Second, nil, false, "1 of 1, 95% within 500ms, 7.0 asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, verdicts := act(t, parsed(t, c.text), c.takes, c.meanwhile)
			if len(verdicts) != 1 || verdicts[0].OK != c.ok || verdicts[0].Got != c.got {
				t.Errorf("the verdict is %+v, want %v because of %q", verdicts, c.ok, c.got)
			}
		})
	}
}

func found(more string) string {
	return cast + "steps: [{at: 0s, share: film, by: b}, {at: 1s, fetch: film, by: a-1, from: dht}]\nexpect: [{found: 100%, " + more + "}]"
}
