package content

import "math"

// file reads a node of a file.
func (w *Walk) file(pb pbNode, fs fsNode) error {
	if len(fs.sizes) != pb.count {
		return badNode("%d sizes for %d links", len(fs.sizes), pb.count)
	}
	sum := uint64(0)
	for _, s := range fs.sizes {
		// A part without bytes makes no sense, and a file of nothing but such parts could have any number of them.
		if sum += s; s == 0 || s > math.MaxInt64 || sum > math.MaxInt64 {
			return badNode("a part of a file that has %d bytes", s)
		}
	}
	if sum != fs.fileSize || pb.count > 0 && !fs.hasSize {
		return badNode("a file of %d bytes whose parts have %d together", fs.fileSize, sum)
	}
	if err := pb.each(func(pbLink) error { return nil }); err != nil {
		return err
	}
	if w.want.part == inFile {
		if sum != w.want.size {
			return badNode("a part of a file has %d bytes, and %d where it is linked", sum, w.want.size)
		}
		w.push(pb, fs, shard{})
		return nil
	}
	if err := w.addFile(sum); err != nil {
		return err
	}
	w.entry().detail = uint32(w.tree.files.n)
	w.tree.files.add(extents{size: int64(sum), first: uint32(w.tree.pieces.n)})
	w.push(pb, fs, shard{})
	return nil
}

// addFile counts a file of some bytes.
func (w *Walk) addFile(size uint64) error {
	if size > uint64(w.left.Bytes) {
		return overBudget(w.budget.Bytes, "bytes of files")
	}
	w.left.Bytes -= int64(size)
	w.tree.Size += int64(size)
	w.tree.Files++
	return nil
}

// partLink takes the next link of a file.
func (w *Walk) partLink(f *frame, l pbLink) error {
	size := f.sizes[0]
	f.sizes = f.sizes[1:]
	if l.ref.form == formRaw {
		if size > MaxBlock {
			return badNode("a chunk of %d bytes", size)
		}
		return w.leaf(f.entry, l.ref.digest, size)
	}
	at := f.place
	if at.layer++; at.layer >= w.budget.Layers {
		return overBudget(int64(w.budget.Layers), "layers of nodes of a file")
	}
	w.want = want{place: at, ref: l.ref, part: inFile, size: size}
	return nil
}

// leaf takes the next chunk of an entry. A chunk has one length: it is its content that has the hash.
func (w *Walk) leaf(entry uint32, d Digest, size uint64) error {
	if w.left.Chunks--; w.left.Chunks < 0 {
		return overBudget(int64(w.budget.Chunks), "chunks")
	}
	n, added := w.chunks.number(d)
	if added {
		w.tree.lengths.add(uint32(size))
	} else if known := *w.tree.lengths.at(n); uint64(known) != size {
		return badNode("a chunk has %d bytes in one place and %d in another", known, size)
	}
	e := w.tree.entries.at(entry)
	if e.form == formRaw {
		e.digest = n
		return nil
	}
	w.tree.pieces.add(n)
	w.tree.files.at(e.detail).count++
	return nil
}
