import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Notice } from "./notice";

/** A part of the page that is loaded when it is first shown. */
export function lazy<P extends object>(load: () => Promise<FunctionComponent<P>>): FunctionComponent<P> {
  let Loaded: FunctionComponent<P> | null = null;
  return (props) => {
    const [problem, setProblem] = useState("");
    const [, again] = useState(0);
    useEffect(() => {
      if (Loaded !== null) return;
      load().then(
        (component) => {
          Loaded = component;
          again(1);
        },
        () => setProblem("This part of the page cannot be loaded: the server is away, or has a newer page. Reload."),
      );
    }, []);
    return Loaded === null ? <Notice class="page-notice" text={problem} /> : <Loaded {...props} />;
  };
}
