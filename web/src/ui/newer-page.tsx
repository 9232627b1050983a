import { pageBuild } from "../model/build";
import { Button } from "./button";
import { Notice } from "./notice";

/** Offers to reload where that cannot happen by itself, since something is not saved. */
export function NewerPage() {
  return (
    <Notice class="page-notice" text={pageBuild.outdated.value ? "The server has a newer version of this page. What is not saved stays in this browser." : ""}>
      <Button look="link" onClick={() => pageBuild.ask()}>
        Reload
      </Button>
    </Notice>
  );
}
