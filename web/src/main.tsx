import { render } from "preact";
import { onOtherTab } from "./api/storage";
import { keeper, TOKEN_KEY } from "./api/token";
import { App } from "./app";
import { startRouter } from "./ui/router";
import { startTheme } from "./ui/theme";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/edit.css";

startTheme();
startRouter();
onOtherTab(TOKEN_KEY, (token) => keeper.follow(token));
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
