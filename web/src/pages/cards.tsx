import type { DashboardSummary } from "../api/types";
import { formatAge } from "../model/format";
import { Button } from "../ui/button";

interface CardsProps {
  /** Null while they are not known. */
  readonly dashboards: readonly DashboardSummary[] | null;
  readonly stars: ReadonlySet<string>;
  onStar(id: string): void;
  onDelete(dashboard: DashboardSummary): void;
}

/** The dashboards, those with a star first. */
export function Cards({ dashboards, stars, onStar, onDelete }: CardsProps) {
  if (dashboards === null) {
    return (
      <ul class="cards" aria-busy="true" aria-label="Loading dashboards">
        {[0, 1, 2].map((i) => (
          <li key={i} class="card card-skeleton" />
        ))}
      </ul>
    );
  }
  const rank = (one: DashboardSummary): number => (stars.has(one.dashboard_id) ? 0 : 1);
  return (
    <ul class="cards">
      {[...dashboards]
        .sort((a, b) => rank(a) - rank(b))
        .map((one) => (
          <Card key={one.dashboard_id} dashboard={one} starred={stars.has(one.dashboard_id)} onStar={onStar} onDelete={onDelete} />
        ))}
    </ul>
  );
}

interface CardProps extends Pick<CardsProps, "onStar" | "onDelete"> {
  readonly dashboard: DashboardSummary;
  readonly starred: boolean;
}

function Card({ dashboard, starred, onStar, onDelete }: CardProps) {
  const { dashboard_id: id, title, tags = [] } = dashboard;
  return (
    <li class="card">
      <div class="card-top">
        <a class="card-link" href={`/d/${encodeURIComponent(id)}`}>
          {title}
        </a>
        <Button look="quiet" class="star" icon="star" label={`Star ${title}`} title="Starred ones come first" aria-pressed={starred} onClick={() => onStar(id)} />
        <Button look="quiet" icon="trash" label={`Delete ${title}`} title="Delete" onClick={() => onDelete(dashboard)} />
      </div>
      <div class="card-foot">
        <span>{summary(dashboard)}</span>
        {tags.map((name) => (
          <span key={name} class="tag">
            {name}
          </span>
        ))}
      </div>
    </li>
  );
}

function summary({ widget_count: count, updated_at: at }: DashboardSummary): string {
  const seconds = Math.max(0, (Date.now() - Date.parse(at ?? "")) / 1000);
  return `${count} ${count === 1 ? "widget" : "widgets"}, changed ${formatAge(seconds)} ago`;
}
