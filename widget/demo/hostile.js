// What libraries of another age did to the prototypes of everything.
for (const proto of [Object, Array, String, Function, Number].map((type) => type.prototype)) {
  for (const name of ["each", "extend", "clone", "inspect", "toJSON", "toQueryParams", "state", "label"]) {
    proto[name] = function () {
      return "polluted";
    };
  }
}
Array.from = (list) => list;
Element.prototype.remove = function () {
  this.parentNode.removeChild(this);
};
