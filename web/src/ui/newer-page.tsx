import { pageBuild } from "../model/build";

/** The server has a newer page, and this one does not load it by itself: something is not saved. */
export function NewerPage() {
  if (!pageBuild.outdated.value) return null;
  return (
    <p class="notice newer-page" role="alert">
      The server has a newer version of this page. What is not saved stays in this browser.{" "}
      <button type="button" class="pill-retry" onClick={() => pageBuild.ask()}>
        Reload
      </button>
    </p>
  );
}
