package tail

import (
	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

// notification reads a document named $changed: page alone says that anything
// of the page changed; collection with page or id says what.
func (r *reader) notification(doc bson.Raw, at change.Position) (change.Hint, bool) {
	collection, named := doc.Lookup("collection").StringValueOK()
	page, paged := doc.Lookup("page").StringValueOK()
	id := mongodb.IDText(doc.Lookup("id"))
	h := change.Hint{Collection: collection, Page: page, ID: id, At: at}
	switch {
	case paged && !schema.IsSlug(page):
		r.skip(mongodb.IDText(doc.Lookup("_id")), misfitf("page", "page %.80s: want the slug of a page, %s", show(doc, "page"), schema.SlugPattern))
		return h, false
	case !named && paged, collection == schema.Pages && paged:
		return change.Hint{Collection: schema.Pages, Page: page, ID: page, At: at, Touched: change.Hosts}, true
	case collection == schema.Pages && schema.IsSlug(id):
		h.Page, h.Touched = id, change.Identity|change.Hosts
		return h, true
	case (collection == schema.Components || collection == schema.Issues) && (paged || id != ""):
		return h, true
	}
	r.skip(mongodb.IDText(doc.Lookup("_id")), misfitf("changed", "%s: want page, or collection (pages, components or issues) and id", schema.Changed))
	return h, false
}
