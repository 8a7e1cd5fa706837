package content

import (
	"bytes"
	"fmt"
)

// directory reads a directory that is one node.
func (w *Walk) directory(pb pbNode, fs fsNode) error {
	if len(fs.data) > 0 {
		return badNode("a directory with bytes of its own")
	}
	if err := checkNames(pb); err != nil {
		return err
	}
	w.entry().kind = Dir
	w.push(pb, fs, shard{})
	return nil
}

// checkNames looks at every link of a directory. No name may be there twice. They should be in order, but not all writers
// care.
func checkNames(pb pbNode) error {
	var last []byte
	ascending, count := true, 0
	err := pb.each(func(l pbLink) error {
		ascending = ascending && (count == 0 || bytes.Compare(last, l.name) < 0)
		last = l.name
		count++
		return nil
	})
	if err != nil || ascending {
		return err
	}
	seen := make(map[string]bool, count)
	return pb.each(func(l pbLink) error {
		if seen[string(l.name)] {
			return badNode("two entries have the same name, %q", short(string(l.name)))
		}
		seen[string(l.name)] = true
		return nil
	})
}

// shard reads one node of a sharded directory.
func (w *Walk) shard(pb pbNode, fs fsNode) error {
	var above *shard
	if w.want.part == inShard {
		above = &w.want.shard
	}
	s, err := newShard(fs, above)
	if err != nil {
		return err
	}
	if err := s.check(pb, fs.data, w.hash); err != nil {
		return err
	}
	w.entry().kind = Dir
	w.push(pb, fs, s)
	return nil
}

// symlink reads a symbolic link.
func (w *Walk) symlink(pb pbNode, fs fsNode) error {
	if pb.count > 0 {
		return badNode("a symbolic link with links")
	}
	if len(fs.data) > maxPath {
		return badNode("a symbolic link whose target has %d bytes", len(fs.data))
	}
	target, err := w.keep(fs.data)
	if err != nil {
		return err
	}
	e := w.entry()
	e.kind, e.detail = Symlink, target
	return nil
}

// keep puts a name, or the target of a symbolic link, into the tree.
func (w *Walk) keep(name []byte) (uint32, error) {
	if w.left.Names -= int64(len(name)); w.left.Names < 0 {
		return 0, overBudget(w.budget.Names, "bytes of names")
	}
	return w.tree.names.add(name), nil
}

// entryLink takes the next link of a directory.
func (w *Walk) entryLink(f *frame, l pbLink) error {
	name := l.name
	if f.kind == fsShard {
		var number int
		var err error
		if number, name, err = f.shard.split(l.name); err != nil {
			return err
		}
		if len(name) == 0 {
			return w.shardLink(f, l, number)
		}
	}
	at, err := w.addEntry(f, l, name)
	if err != nil {
		return err
	}
	if l.ref.form != formRaw {
		w.want = want{place: at, ref: l.ref, part: whole}
		return nil
	}
	switch {
	case !l.hasTsize:
		return fmt.Errorf("%w: a directory does not say how large its files are", ErrUnsupported)
	case l.tsize > MaxBlock:
		return badNode("a chunk of %d bytes", l.tsize)
	}
	if err := w.addFile(l.tsize); err != nil {
		return err
	}
	return w.leaf(at.entry, l.ref.digest, l.tsize)
}

// shardLink wants the shard that lies in a slot of another.
func (w *Walk) shardLink(f *frame, l pbLink, number int) error {
	if l.ref.form == formRaw {
		return badNode("a shard that is a chunk")
	}
	w.want = want{place: f.place, ref: l.ref, part: inShard, shard: f.shard.below(number)}
	return nil
}

// addEntry adds an entry to the directory of f. What it is, the node behind the link says.
func (w *Walk) addEntry(f *frame, l pbLink, name []byte) (place, error) {
	if len(name) > maxPath {
		return place{}, badNode("a name of %d bytes", len(name))
	}
	at := place{entry: uint32(w.tree.entries.n), depth: f.depth + 1, path: f.path + len(name)}
	if f.entry != 0 {
		at.path++ // the slash
	}
	if at.depth > w.budget.Depth {
		return place{}, overBudget(int64(w.budget.Depth), "directories in each other")
	}
	if w.left.Entries--; w.left.Entries < 0 {
		return place{}, overBudget(int64(w.budget.Entries), "entries")
	}
	if w.left.Paths -= int64(at.path); w.left.Paths < 0 {
		return place{}, overBudget(w.budget.Paths, "bytes of paths")
	}
	kept, err := w.keep(name)
	if err != nil {
		return place{}, err
	}
	r := record{parent: f.entry, name: kept, form: l.ref.form, flaw: judge(w.system, string(name))}
	switch {
	case w.tree.entries.at(f.entry).flaw != sound:
		r.flaw = unsafeParent
	case r.flaw == sound && at.path > maxPath:
		r.flaw = longPath
	}
	if l.ref.form != formRaw {
		r.digest, _ = w.inner.number(l.ref.digest)
	}
	w.tree.entries.add(r)
	return at, nil
}
