import { byId, setText } from "./element.js";
import { showFound } from "./tables.js";

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  void search(byId("query").value);
});

async function search(text) {
  setText(byId("search-note"), "Searching …");
  try {
    const response = await fetch(`/page/search?q=${encodeURIComponent(text)}`);
    const found = await response.json();
    setText(byId("search-note"), found.note ?? found.message);
    showFound(found.requests ?? []);
  } catch {
    setText(byId("search-note"), "The daemon did not answer.");
  }
}
