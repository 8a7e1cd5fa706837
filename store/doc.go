// Package store knows where bytes lie. It never keeps a copy of its own: files are shared where they are, and a download is
// written straight to its destination and served from there.
//
// # What it believes
//
// A Store has an index of the chunks of shared and fetched files, and it trusts neither the disk nor the index further than
// it can see. Each file is recorded with its generation: device, inode, size, and times of the last change of its data and of
// its inode. A chunk that this process has hashed, and whose file still has the recorded generation, before and after it was
// read, is the chunk that was indexed. In every other case its bytes are hashed before they are handed out: after a start,
// therefore, each once, because a power cut can leave a generation beside bytes that are not its own. A file that was touched so shortly before it
// was indexed that a later change could carry the same time is "racy", as in git's index, and its chunks are hashed each time
// too, until a Check has read it at a calmer moment. A file whose inode time alone differs (it was renamed, or its mode
// changed) goes on being served in that way.
//
// Two changes leave no trace in a generation: those of a program that writes through a memory mapping that it wrote to
// before, until the system has written the page out, and those of a broken disk. Receivers hash what they get, and Check
// finds the latter.
//
// Shared files are only ever read, by positioned reads: a mapping of a file that somebody truncates would kill the process.
//
// # Downloads
//
// A download is collected in a hidden part beside its destination, a file or a directory named `.NAME.xxxxxxxx.shoal-part`,
// and gets its name by one rename at the end, when all of it is on the disk. Its chunks are present or not, and which are is
// not written down anywhere: a record can claim what a power cut took from the disk, so it would have to be checked by hashing
// before it was believed, and then it says nothing that hashing did not say. Beginning a download hashes the parts of the file
// that the disk has data for, on all cores, which is several times faster than the disk or the network that brought them.
//
// The order of writes at the end: data to the disk, rename (which never replaces a file unless it was asked to), directory
// to the disk, and then the index, in one batch. Whatever the moment of a crash, the destination holds nothing or everything,
// and the index has the whole share or nothing of it.
//
// All creating and writing goes through os.Root, below the directory of the destination, with names that package content
// found safe.
//
// # The index
//
// It is a Pebble database in the home directory, beside the lock that keeps other processes out and a file that says which
// layout the rows have. Everything in it can be made again by sharing again; the node's identity is not in it. rows.go says
// what the rows are.
package store
