// What few visits need, in one file that is loaded then: a file for each would repeat more than it spares.
export { EditMode } from "./edit/edit";
export { Inspect } from "./inspect";
export { StatusPage } from "./status";
