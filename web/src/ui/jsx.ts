// What the bundler makes of JSX (tools/webbuild): shorter than calls of preact/jsx-runtime. The names are none that a component would use.
export { Fragment as jsxGroup, h as jsxElement } from "preact";
