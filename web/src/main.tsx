import { render } from "preact";
import { keeper, TOKEN_KEY } from "./api/token";
import { App } from "./app";
import { startRouter } from "./ui/router";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/edit.css";
import { onOtherTab } from "./ui/memory";
import { startTheme } from "./ui/theme";
import { startZone } from "./ui/zone";

startTheme();
startZone();
startRouter();
onOtherTab(TOKEN_KEY, (token) => keeper.follow(token));
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
