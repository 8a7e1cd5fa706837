// Package fault marks the places where a crash would hurt most, so that tests can have one there. A program built without
// the tag "fault" has none of it: Point does nothing, and the compiler leaves it out.
//
// With the tag, on Linux, the environment variable SHOAL_FAULT says what happens where, as POINT:PASSING:ACTION.
// SHOAL_FAULT=K7:3:kill has the process kill itself when it passes K7 for the third time; stop has it stop itself, with all
// its threads, so that somebody else can cut the power of its disk at that very moment and then kill it.
//
// The points, in the order in which a share and then a download pass them:
//
//	K1   share: nothing was looked at yet
//	K2   share: amid the hashing of a file
//	K3   share: all is hashed, the index has nothing of it
//	K4   share: the index has all of it
//	K5   download: a part, or a file or directory in one, was just created
//	K6   download: half of a piece is written
//	K7   download: a chunk is written and does not count as present yet
//	K8   download: a chunk counts as present and is not on the disk
//	K9   end of a download: all chunks are there, their files are not on the disk
//	K10  end of a download: all is on the disk, without its final name
//	K11  end of a download: it has its final name, which is not on the disk; in a merge, some files have theirs
//	K12  end of a download: all is on the disk, the index does not know it
//	K13  index: amid a flush or a compaction, or as one of its files is made or deleted
//	K14  shutdown: between any two things that are being closed
package fault
