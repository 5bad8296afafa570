package live

// recentIDs are the ids hinted while loads are in flight: a load's result
// must be checked against those that came since it began, because only then
// is it known which ids a page holds.
type recentIDs struct {
	seq  uint64
	seen map[string]uint64
	// lost is the newest hint that is no longer remembered.
	lost uint64
}

// maxRecent bounds the memory during one long load under heavy writing.
const maxRecent = 100_000

// mark is the moment before a load begins.
func (r *recentIDs) mark() uint64 { return r.seq }

func (r *recentIDs) add(id string) {
	r.seq++
	if r.seen == nil {
		r.seen = make(map[string]uint64)
	}
	if len(r.seen) >= maxRecent {
		r.lost = r.seq
		return
	}
	r.seen[id] = r.seq
}

// any reports whether one of the ids was hinted after mark, or may have been.
func (r *recentIDs) any(ids []string, mark uint64) bool {
	if r.lost > mark {
		return true
	}
	for _, id := range ids {
		if r.seen[id] > mark {
			return true
		}
	}
	return false
}

// clear forgets; no load may be in flight.
func (r *recentIDs) clear() {
	r.seen = nil
	r.lost = 0
}
