// Package content says what a file is: chunks, trees, content IDs and safe names. Bytes and readers go in, values come out; it
// opens nothing, sends nothing and starts nothing.
//
// A file is cut into chunks of ChunkSize bytes. Each chunk is named by its sha2-256 hash, and nodes of links above them, in the
// UnixFS profile unixfs-v1-2025 (IPIP-0499), make one root of any file or directory: the same that IPFS tools give it.
//
// # Making
//
// HashSpan hashes some chunks of a file, so that the caller can spread a large file over its cores. MakeFile, MakeSymlink and
// MakeDir turn hashes and links into the nodes above them. They are given everything at once and return every node that they
// made, the root last.
//
// # Reading
//
// A Walk asks for one inner node after the other, depth first, and takes what others sent for it: bytes that may be crafted.
// It checks each against its hash, holds it to a Budget, compares every size that is said twice, and never panics. At its end
// there is a Tree: the entries of the root, and a number for every distinct chunk, by first occurrence. Two nodes that walk the
// same root number its chunks alike, on any system, which is why they can talk about chunks by number.
//
// # Proof
//
// Only Seal and Verify make a Chunk, so who holds one knows that its bytes hash to its digest. Only ParseName makes a Name, so
// who holds one knows that it is a single path component that this system can create safely.
package content
