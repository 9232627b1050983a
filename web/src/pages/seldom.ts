// What few visits need, in one file that is loaded then: a file for each would repeat more than it spares.
// It names the page itself as its import, which is there by then, so that the bundler keeps all of the page
// in one file too, where gzip finds more that repeats.
import "../app";
export { EditMode } from "./edit/edit";
export { Inspect } from "./inspect";
export { StatusPage } from "./status";
