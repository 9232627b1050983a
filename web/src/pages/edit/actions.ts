import { changeDashboard, createDashboard, getDashboard, isStatus, messageOf } from "../../api/client";
import type { Dashboard, Widget } from "../../api/types";
import { draftOf, savingOf } from "../../model/draft";
import type { EditorAction, EditorState } from "../../model/editor";
import { navigate } from "../../ui/router";
import { deleteWithUndo } from "../deleting";

interface Editing {
  readonly state: EditorState;
  /** The newest version that is saved. */
  readonly dashboard: Dashboard;
  dispatch(action: EditorAction): void;
  /** Whether a widget cannot be saved as it is. */
  isFaulty(widget: Widget): boolean;
  /** Leaves the editor without keeping the draft; to the dashboard when there is no address. */
  finish(to?: string): void;
  onSaved(dashboard: Dashboard): void;
}

/** What the editor asks of the service. */
export function requestsOf({ state, dashboard, dispatch, isFaulty, finish, onSaved }: Editing) {
  const { dashboard_id: id } = dashboard;
  const draft = state.line.now;

  const failed = (failure: unknown): void => dispatch({ type: "failed", problem: messageOf(failure) });

  /** The service has a newer version, or none: shows the difference. */
  const meet = (): Promise<void> =>
    getDashboard(id).then(
      (newer) => dispatch({ type: "conflict", with: newer }),
      (failure: unknown) => (isStatus(failure, 404) ? dispatch({ type: "conflict", with: "deleted" }) : failed(failure)),
    );

  /** Saves over from: the version that the draft was made from, or a newer one that is to be overwritten. */
  const save = async (from: Dashboard, to?: string): Promise<void> => {
    if (state.busy) return;
    const faulty = draft.widgets.find(isFaulty);
    if (faulty !== undefined) {
      dispatch({ type: "incomplete", widget: faulty });
      return;
    }
    dispatch({ type: "saving" });
    const saving = savingOf(draftOf(from), draft);
    try {
      if (saving.kind !== "nothing") {
        onSaved(await changeDashboard(saving.kind === "all" ? "PUT" : "PATCH", id, saving.kind === "widgets" ? "/widgets" : "", from.version, saving.body));
      }
      finish(to);
    } catch (failure) {
      if (isStatus(failure, 404, 412)) await meet();
      else failed(failure);
    }
  };

  const saveCopy = (): Promise<void> => createDashboard({ ...draft, title: `${draft.title} (copy)`.slice(0, 200) }).then(({ dashboard_id }) => finish(`/d/${dashboard_id}`), failed);

  const remove = (): Promise<void> => deleteWithUndo(dashboard, () => navigate(`/d/${encodeURIComponent(id)}`)).then(() => finish("/"), failed);

  return { save, saveCopy, remove };
}
