package report

// What a file of events may hold. Who makes one up cannot have more memory or time than these allow.
const (
	maxLine     = 64 << 10 // bytes
	maxFile     = 1 << 30  // bytes
	maxTime     = 1e9      // seconds of a run
	maxRate     = 1e15     // bytes a second of a link
	maxNodes    = 20_000   // the largest simulated network has 10,000
	maxContents = 1_000
	maxFetches  = 40_000  // of one content by one node; each has a curve
	maxFeeds    = 1 << 20 // pairs of nodes, for each content
	maxLookups  = 100_000
	maxHappened = 1_000
	maxExpected = 1_000
	maxText     = 80 // characters of a name or a reason that are shown
)

// What a page shows at most, so that it stays small. Where something is left out, the page says so.
const (
	curvePoints  = 128 // of a curve
	rateBins     = 256 // of a rate over time
	shownCurves  = 150 // nodes drawn one by one; beyond, the spread of all
	shownFeeders = 40  // rows and columns of the matrix
	shownNodes   = 200 // rows of a table
	shownEvents  = 200
	shownFaults  = 24 // lines in a plot
	shownBounds  = 4
	shownItems   = 6  // contents whose completion is drawn
	shownHops    = 20 // the end of their histogram; what is beyond is counted there
	shownLegend  = 8
)
