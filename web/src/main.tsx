import { render } from "preact";
import { App } from "./app";
import { startRouter } from "./router";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/edit.css";
import { startTheme } from "./ui/theme";

startTheme();
startRouter();
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
