// Package report tells of runs of test networks: it reads the events of one, and writes a page with plots, or of two, and
// compares them.
//
// [Open] or [Read] goes through the lines of an events.jsonl once and keeps what the page shows: curves are thinned as they grow,
// so that memory depends on how many nodes there are and not on how long they ran. A [Run] then has a [Summary], which is
// also what is compared, and writes its page. A page is one file that needs no other: plots are SVG inside it, colours follow the
// reader's light or dark scheme, and it has no script. Whatever the events say is a text of others and is escaped.
//
// It is a package of its own because of the library that draws, which nothing else of a test network needs.
package report
