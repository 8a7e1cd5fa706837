package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store/fault"
)

// AddOptions says how to share. The zero value leaves hidden files out.
type AddOptions struct {
	Hidden   bool      // also names that begin with a dot
	Progress *Progress // nil if nobody looks
	// Access says who may have what is shared, from the moment on at which anybody can: old is what was said before, and held
	// whether all of it was here already. nil leaves it as it was, which is for everybody at first.
	Access func(old content.Access, held bool) content.Access
}

// Add indexes files and directories where they lie, reading each once, and returns what they are shared as. Several paths
// become entries of one directory. What cannot be shared inside of a directory is left out and listed; a path that cannot
// be shared at all is an error, ErrRefused. The index changes in one step at the end, or not at all.
//
// Adding what is shared already finds what changed; files that did not are not read again. Another content has another root,
// and the former share stays until it is removed.
func (s *Store) Add(ctx context.Context, paths []string, o AddOptions) (Share, []Skipped, error) {
	if len(paths) == 0 {
		return Share{}, nil, fmt.Errorf("share: %w: no path", ErrRefused)
	}
	fault.Point("K1")
	p := o.Progress
	if p == nil {
		p = new(Progress)
	}
	sc := s.newScanner(ctx, o, p)
	sources, err := sc.scan(paths)
	if err != nil {
		return Share{}, nil, err
	}
	h := &hasher{p: p}
	h.plan(sources)
	if h.known, err = s.knownFiles(ctx, sources, p); err != nil {
		return Share{}, nil, err
	}
	if err := h.run(ctx, s.workers); err != nil {
		return Share{}, nil, fmt.Errorf("share: %w", err)
	}
	b := &builder{skip: sc.skip}
	made, err := b.build(sources)
	if err != nil {
		return Share{}, nil, err
	}
	share, err := s.addBuilt(ctx, b, sources, made, o)
	if err != nil {
		return Share{}, nil, err
	}
	slices.SortFunc(sc.skipped, func(a, b Skipped) int { return cmp.Compare(a.Path, b.Path) })
	return share, sc.skipped, nil
}

// addBuilt puts what was built into the index.
func (s *Store) addBuilt(ctx context.Context, b *builder, sources []*source, root content.Link, o AddOptions) (Share, error) {
	tree, err := walk(ctx, root.CID, b.lookup(sources[0]))
	if errors.Is(err, content.ErrBudget) {
		return Share{}, fmt.Errorf("share: %w: nobody could fetch it: %w", ErrRefused, err)
	}
	if err != nil {
		return Share{}, fmt.Errorf("share: %w", err)
	}
	hold := holding{Root: root.CID, Origin: Shared, Name: root.Name, Added: time.Now(), Bytes: tree.Size, Files: tree.Files}
	for _, src := range sources {
		hold.Bases = append(hold.Bases, src.base)
	}
	files := make([]indexed, 0, len(b.files))
	for _, f := range b.files {
		no, ok := tree.Find(f.path)
		if !ok {
			return Share{}, fmt.Errorf("share: %s is not in the tree that was made", f.path)
		}
		files = append(files, indexed{no: uint32(no), row: f.row, hashed: f.hashed})
	}
	fault.Point("K3")
	if hold, err = s.install(hold, inventory{tree, files, b.blocks, o.Access}); err != nil {
		return Share{}, err
	}
	fault.Point("K4")
	return s.shareOf([]holding{hold}), nil
}

// builder makes the nodes of a scanned tree, from the leaves up.
type builder struct {
	skip   func(base, path, why string)
	blocks []content.Block // inner nodes
	files  []builtFile
}

type builtFile struct {
	path   string // in the tree
	row    fileRow
	hashed bool
}

// build makes the whole tree and returns its root, with the name of the share.
func (b *builder) build(sources []*source) (content.Link, error) {
	if len(sources) == 1 {
		return b.source(sources[0], 0)
	}
	links := make([]content.Link, 0, len(sources))
	for i, src := range sources {
		src.base.Prefix = src.name
		l, err := b.source(src, i)
		if err != nil {
			return l, err
		}
		if slices.ContainsFunc(links, func(o content.Link) bool { return o.Name == l.Name }) {
			return l, fmt.Errorf("share %s: %w: %w", src.base.Path, ErrRefused, errNames)
		}
		links = append(links, l)
	}
	made, err := b.keep(content.MakeDir(links))
	return content.Link{Name: common(sources), CID: made.CID, Tsize: made.Tsize}, err
}

// common is a name for several paths together.
func common(sources []*source) string {
	dir := filepath.Dir(sources[0].base.Path)
	for _, src := range sources {
		if filepath.Dir(src.base.Path) != dir {
			return "files"
		}
	}
	if filepath.Dir(dir) == dir {
		return "files"
	}
	return filepath.Base(dir)
}

func (b *builder) source(src *source, n int) (content.Link, error) {
	if src.file != nil {
		if src.file.failed != nil {
			return content.Link{}, fmt.Errorf("share %s: %w: %s", src.base.Path, ErrRefused, src.file.failure())
		}
		b.file(src.file, src.base.Prefix, n)
		return content.Link{Name: src.name, CID: src.file.made.CID, Tsize: src.file.made.Tsize}, nil
	}
	made, err := b.dir(src, src.tree, n)
	return content.Link{Name: src.name, CID: made.CID, Tsize: made.Tsize}, err
}

// dir makes a directory and everything below it.
func (b *builder) dir(src *source, d *directory, n int) (content.Made, error) {
	links := make([]content.Link, 0, len(d.dirs)+len(d.files)+len(d.links))
	for _, f := range d.files {
		if f.failed != nil {
			b.skip(src.base.Path, f.path, f.failure())
			continue
		}
		b.file(f, path.Join(src.base.Prefix, filepath.ToSlash(f.path)), n)
		links = append(links, content.Link{Name: f.name(), CID: f.made.CID, Tsize: f.made.Tsize})
	}
	for _, l := range d.links {
		made, err := b.keep(content.MakeSymlink(l.target))
		if err != nil {
			b.skip(src.base.Path, filepath.Join(d.path, l.name), err.Error())
			continue
		}
		links = append(links, content.Link{Name: l.name, CID: made.CID, Tsize: made.Tsize})
	}
	for _, sub := range d.dirs {
		made, err := b.dir(src, sub, n)
		if err != nil {
			return made, err
		}
		links = append(links, content.Link{Name: sub.name(), CID: made.CID, Tsize: made.Tsize})
	}
	made, err := b.keep(content.MakeDir(links))
	if err != nil {
		err = fmt.Errorf("share %s: %w", filepath.Join(src.base.Path, d.path), err)
	}
	return made, err
}

func (b *builder) file(f *regular, treePath string, n int) {
	b.blocks = append(b.blocks, f.made.Blocks...)
	b.files = append(b.files, builtFile{treePath, fileRow{base: n, path: f.path, gen: f.gen, racy: f.racy}, !f.known})
}

func (b *builder) keep(m content.Made, err error) (content.Made, error) {
	if err == nil {
		b.blocks = append(b.blocks, m.Blocks...)
	}
	return m, err
}

// lookup finds nodes among those that were made. A root that is a bare leaf is the content of its source.
func (b *builder) lookup(first *source) func(cid.Cid) ([]byte, error) {
	byCID := make(map[cid.Cid][]byte, len(b.blocks))
	for _, n := range b.blocks {
		byCID[n.CID] = n.Data
	}
	return func(c cid.Cid) ([]byte, error) {
		if data, ok := byCID[c]; ok {
			return data, nil
		}
		if first.file == nil {
			return nil, ErrNotFound
		}
		dir, err := os.OpenRoot(first.base.dir())
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		buf := make([]byte, first.file.size)
		return buf, readAt(dir, first.file.path, buf, 0)
	}
}

// indexed is a file on its way into the index.
type indexed struct {
	no     uint32 // of its entry in the tree
	row    fileRow
	hashed bool // just now
}

// inventory is what a holding has, and who may have it, as in AddOptions.
type inventory struct {
	tree   *content.Tree
	files  []indexed
	nodes  []content.Block
	access func(old content.Access, held bool) content.Access
}

// maxPlaces is how often one chunk of one file is put into the index. A file full of zeros needs no more.
const maxPlaces = 4

// places calls f with the places of a file's chunks.
func eachPlace(t *content.Tree, k fileKey, f func(content.Digest, place)) {
	pieces := t.Pieces(int(k.no))
	var seen map[uint32]int
	if len(pieces) > 1 {
		seen = make(map[uint32]int, len(pieces))
	}
	for _, p := range pieces {
		if seen != nil {
			if seen[p.Chunk]++; seen[p.Chunk] > maxPlaces {
				continue
			}
		}
		f(t.Digest(p.Chunk), place{file: k, offset: p.Offset, length: t.ChunkLen(p.Chunk)})
	}
}

// install puts a holding into the index, with all of its files, places and nodes, in one batch. It takes the place of one that
// has the same root and bases, and of a tree that was waiting for its files.
func (s *Store) install(h holding, in inventory) (holding, error) {
	s.write.Lock()
	defer s.write.Unlock()
	b := s.index.db.NewBatch()
	defer b.Close()
	var replaced []holding
	held := false
	for _, old := range s.holdingsOf(h.Root) {
		held = held || old.Origin != pending
		switch {
		case old.Origin == pending:
			replaced = append(replaced, old)
		case slices.EqualFunc(old.Bases, h.Bases, base.same):
			h.ID, h.Added = old.ID, old.Added
			h.Origin = min(h.Origin, old.Origin) // what the user shared once stays untouched
			b.DeleteRange(filePrefix(h.ID), after(filePrefix(h.ID)), nil)
			b.DeleteRange(markPrefix(h.ID), after(markPrefix(h.ID)), nil)
		}
	}
	if err := s.number(b, &h); err != nil {
		return h, err
	}
	kept, err := s.putNodes(b, h.ID, in.nodes)
	if err != nil {
		return h, err
	}
	for _, old := range replaced {
		if err := s.dropNodes(b, old.ID, kept); err != nil {
			return h, err
		}
		b.Delete(holdingKey(old.Root, old.ID), nil)
	}
	b.Set(holdingKey(h.Root, h.ID), h.value(), nil)
	for _, f := range in.files {
		k := fileKey{h.ID, f.no}
		b.Set(k.row(), f.row.value(), nil)
		eachPlace(in.tree, k, func(d content.Digest, p place) { b.Set(p.key(d), p.value(), nil) })
	}
	access := s.Access(h.Root)
	if in.access != nil {
		access = in.access(access, held)
	}
	putAccess(b, h.Root, access)
	if err := s.index.commit(b); err != nil {
		return h, err
	}
	s.rememberAccess(h.Root, access)
	for _, old := range replaced {
		s.forget(old.ID)
	}
	s.forget(h.ID)
	for _, f := range in.files {
		if f.hashed {
			s.hashed.all(fileKey{h.ID, f.no})
		}
	}
	s.remember(h)
	s.trees.put(in.tree)
	return h, nil
}

func (b base) same(o base) bool { return b.Path == o.Path && b.Prefix == o.Prefix && b.Dir == o.Dir }

// remember takes a holding that was committed into memory.
func (s *Store) remember(h holding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holdings[h.ID] = h
}

// forget drops from memory what depends on a holding: what is open, and what was known to be wrong.
func (s *Store) forget(id holdingID) {
	s.mu.Lock()
	delete(s.holdings, id)
	for k := range s.marks {
		if k.holding == id {
			delete(s.marks, k)
		}
	}
	s.mu.Unlock()
	s.hashed.forget(id)
	s.files.dropIf(func(k fileKey) bool { return k.holding == id })
	s.dirs.dropIf(func(k baseKey) bool { return k.holding == id })
}
