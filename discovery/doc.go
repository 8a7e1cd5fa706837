// Package discovery says who may hold a root. A [Finder] looks on all routes at once, and a [Search] yields what it finds for one
// root, those peers first that are known best: whom the user or a ticket named, who delivered before ([Memory]), who is on the
// local network ([MDNS]) or connected, and whom a [Source], such as a DHT, lists. No route is relied on alone, because each can be
// lied to.
//
// A [Ticket] is a short text that one user gives to another: a root, the peer that shares it, and where that peer can be
// reached. [MDNS] announces this node on the local network while it runs, and yields the others that do the same.
//
// A [DHT] is a table of who has which root, kept by its nodes together; a node may be part of two, of which one is that of the
// local network.
//
// What comes out of here is a hint, never trusted: the text may be made up, and anyone on the network can announce any
// peer at any address. Peers prove who they are when a connection is made, and content is verified whoever it comes from.
// So all that discovery can be made to do is to waste dials, and it bounds how many: addresses that cannot be meant are
// left out, findings come slowly, once, and few at a time, and an IP address for which only somebody's word speaks is dialled
// three times a minute at most ([Hearsay]).
package discovery
