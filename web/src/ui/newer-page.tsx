import { pageBuild } from "../model/build";
import { Button } from "./button";
import { Notice } from "./notice";

/** The server has a newer page, and this one does not load it by itself: something is not saved. */
export function NewerPage() {
  return (
    <Notice class="page-notice" text={pageBuild.outdated.value ? "The server has a newer version of this page. What is not saved stays in this browser." : ""}>
      <Button look="link" onClick={() => pageBuild.ask()}>
        Reload
      </Button>
    </Notice>
  );
}
