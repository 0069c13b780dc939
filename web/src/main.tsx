// Where the web app begins: styles, the signed-in viewer, and the first page.
import { render } from "preact";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/posters.css";
import "./styles/chrome.css";
import "./styles/pages.css";
import { App } from "./app";
import { parseRoute } from "./state/router";
import { whoAmI } from "./state/session";
import { loadHome } from "./state/titles";

const root = document.getElementById("app");
if (!root) throw new Error("the page has no root");
// A sign-in link is about to replace whoever is signed in; there is nothing to ask before.
if (parseRoute(location.hash).name !== "link") {
  void whoAmI();
  void loadHome();
}
render(<App />, root);
