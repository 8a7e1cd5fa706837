// Package node is one running peer: identity, host, store, discovery and transfer put together.
//
// [Open] takes the home (nobody else may have it), loads or makes the identity, opens the index and starts to listen.
// [Node.Run] then finds neighbours and answers them until its context ends. The requests (Share, Fetch, Cat, List, Check, …)
// may be called from many goroutines; each reports what it does as [Event] values to the function that it is given, one call
// at a time, and says within a second what it is waiting for.
//
// Everything that a request can ask or answer is a plain struct in api.go, so that a caller in another process speaks the
// same language through the control socket.
package node
