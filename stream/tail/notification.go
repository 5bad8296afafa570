package tail

import (
	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
	"statustail/stream/idtext"
)

// notification reads a document named $changed: page alone says that anything
// of the page changed; collection with page or id says what.
func (r *reader) notification(doc bson.Raw, at change.Position) (change.Hint, bool) {
	collection, named := doc.Lookup("collection").StringValueOK()
	page, paged := doc.Lookup("page").StringValueOK()
	id := idtext.Of(doc.Lookup("id"))
	h := change.Hint{Collection: collection, Page: page, ID: id, At: at}
	switch {
	case paged && !slug.MatchString(page):
		r.skip(idtext.Of(doc.Lookup("_id")), misfitf("page", "page %.80s: want the slug of a page, %s", show(doc, "page"), slug))
		return h, false
	case !named && paged, collection == change.Pages && paged:
		return change.Hint{Collection: change.Pages, Page: page, ID: page, At: at, Touched: change.Hosts}, true
	case collection == change.Pages && slug.MatchString(id):
		h.Page, h.Touched = id, change.Identity|change.Hosts
		return h, true
	case (collection == change.Components || collection == change.Issues) && (paged || id != ""):
		return h, true
	}
	r.skip(idtext.Of(doc.Lookup("_id")), misfitf("changed", "%s: want page, or collection (pages, components or issues) and id", Changed))
	return h, false
}
