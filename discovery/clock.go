package discovery

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// dated are records of who has what, each with the time of its writing, as kad-dht's provider store keeps them. One that was written
// while the clock was years ahead would be younger than two days for all those years: it is read as one of 1970, which the provider
// store throws away.
type dated struct{ datastore.Batching }

func (d dated) Query(ctx context.Context, q query.Query) (query.Results, error) {
	found, err := d.Batching.Query(ctx, q)
	if err != nil || q.KeysOnly {
		return found, err
	}
	latest := time.Now().Add(clockSlack).UnixNano()
	return query.ResultsFromIterator(q, query.Iterator{
		Next: func() (query.Result, bool) {
			r, ok := found.NextSync()
			if at, n := binary.Varint(r.Value); ok && r.Error == nil && strings.HasPrefix(r.Key, providerRecords) && n > 0 && at > latest {
				r.Value = binary.AppendVarint(nil, 0)
			}
			return r, ok
		},
		Close: found.Close,
	}), nil
}

// providerRecords is where kad-dht's provider store keeps them.
const providerRecords = "/providers/"

// ahead reports whether the state of kad-dht's sweeping provider is from a time to come: it would believe then that it has announced
// everything just now. It has a time at which its cycle began, and one in the key of each region that it visited, both in hexadecimal
// seconds.
func ahead(ctx context.Context, state datastore.Batching, now time.Time) bool {
	latest := now.Add(clockSlack).Unix()
	late := func(hex string) bool {
		at, err := strconv.ParseInt(hex, 16, 64)
		return err == nil && at > latest
	}
	if began, err := state.Get(ctx, datastore.NewKey("cycle_start")); err == nil && late(string(began)) {
		return true
	}
	visits, err := state.Query(ctx, query.Query{Prefix: "/history", KeysOnly: true, Orders: []query.Order{query.OrderByKeyDescending{}}, Limit: 1})
	if err != nil {
		return false
	}
	defer visits.Close()
	last, ok := visits.NextSync()
	if parts := strings.Split(last.Key, "/"); ok && last.Error == nil && len(parts) > 2 {
		return late(parts[2])
	}
	return false
}
