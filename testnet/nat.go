package testnet

// NAT says how a router translates addresses, in the words of RFC 4787.
type NAT string

const (
	// Cone maps one inside port to one outside port, whoever is spoken to, and lets in everybody there as long as it is used
	// (mapping and filtering are endpoint-independent).
	Cone NAT = "cone"
	// PortRestricted maps like a Cone, but lets in only those who were spoken to (filtering is address and port-dependent). Most
	// homes are behind such a NAT.
	PortRestricted NAT = "port-restricted"
	// Symmetric takes another outside port for each destination, so that nobody can be told where to knock. Carriers and
	// companies have such NATs.
	Symmetric NAT = "symmetric"
)
