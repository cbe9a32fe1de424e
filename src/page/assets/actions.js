import { byId, setText } from "./element.js";

let isOn = false;

/** Actions are there where the daemon has a token. Returns whether that is news. */
export function allowActions(allowed) {
  const isNews = allowed !== isOn;
  isOn = allowed;
  byId("actions").hidden = !allowed;
  return isNews;
}

export function hasActions() {
  return isOn;
}

const ASKED = {
  pause: ({ host }) => `Pause ${host}? Its requests wait until it is resumed.`,
  cancel: ({ id }) => `Cancel request ${id}? It is deleted from the outbox.`,
};

/** Asks the daemon to do it, and says what came of it. */
export async function act(action) {
  const token = byId("token").value;
  if (token === "") {
    say("Enter the token first.");
    byId("token").focus();
    return;
  }
  const question = ASKED[action.action]?.(action);
  if (question !== undefined && !confirm(question)) return;
  try {
    const response = await fetch("/page/actions", {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: JSON.stringify(action),
    });
    say((await response.json()).message);
  } catch {
    say("The daemon did not answer.");
  }
}

function say(text) {
  setText(byId("message"), text);
}

byId("token-form").addEventListener("submit", (event) => event.preventDefault());
byId("wake").addEventListener("click", () => void act({ action: "wake" }));
