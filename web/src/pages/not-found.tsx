import { useTitle } from "../ui/router";
import { TopBar } from "../ui/topbar";

interface NotFoundProps {
  readonly title: string;
  readonly detail?: string;
}

export function NotFoundPage({ title, detail }: NotFoundProps) {
  useTitle(title);
  return (
    <>
      <TopBar title={null} />
      <main id="main">
        <div class="empty">
          <h1>{title}</h1>
          {detail ? <p>{detail}</p> : null}
          <a class="button" href="/">
            All dashboards
          </a>
        </div>
      </main>
    </>
  );
}
