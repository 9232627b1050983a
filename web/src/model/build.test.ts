import assert from "node:assert/strict";
import { test } from "node:test";
import { PageBuild } from "./build";

/** A tab, whose page is what the server has when it is loaded. */
class Tab {
  served: string;
  own: string;
  reloads = 0;
  memory: string | null = null;
  forgets = false;
  page: PageBuild;

  constructor(own: string, served = own) {
    this.own = own;
    this.served = served;
    this.page = this.#open();
  }

  #open(): PageBuild {
    return new PageBuild({
      own: () => this.own,
      shelf: () => ({
        getItem: () => this.memory,
        setItem: (_, text) => {
          if (this.forgets) throw new Error("forbidden");
          this.memory = text;
        },
        removeItem: () => assert.fail("what was tried is not forgotten"),
      }),
      reload: () => {
        this.reloads++;
        this.own = this.served;
        this.page = this.#open();
      },
    });
  }
}

test("a page that is that of the server stays, and so does one that knows of no build", () => {
  for (const [own, told] of [["a", "a"], ["a", ""], ["", "b"], ["", ""]] as const) {
    const tab = new Tab(own);
    tab.page.serverHas(told);
    assert.equal(tab.reloads, 0, `${own}, ${told}`);
    assert.equal(tab.page.outdated.value, false);
  }
});

test("the page of an older build loads itself anew, once for each build", () => {
  const tab = new Tab("a");
  for (const [i, build] of ["b", "c", "d"].entries()) {
    tab.served = build;
    tab.page.serverHas(build);
    assert.equal(tab.reloads, i + 1);
    tab.page.serverHas(build);
    assert.equal(tab.reloads, i + 1);
  }
});

test("no loop where a proxy serves an old page, nor between servers of two builds", () => {
  const old = new Tab("a");
  for (let i = 0; i < 10; i++) old.page.serverHas("b");
  assert.equal(old.reloads, 1);
  assert.equal(old.page.outdated.value, false);

  const between = new Tab("a");
  for (let i = 0; i < 20; i++) {
    between.served = i % 2 === 0 ? "b" : "a";
    between.page.serverHas(between.own === "a" ? "b" : "a");
  }
  assert.equal(between.reloads, 2);
});

test("what would be lost holds the page, which says so, until it is saved or somebody asks", () => {
  const tab = new Tab("a");
  tab.served = "b";
  tab.page.hold(true);
  tab.page.serverHas("b");
  assert.deepEqual([tab.reloads, tab.page.outdated.value], [0, true]);
  tab.page.hold(false);
  assert.equal(tab.reloads, 1);

  const asked = new Tab("a", "b");
  asked.page.hold(true);
  asked.page.serverHas("b");
  asked.page.ask();
  assert.equal(asked.reloads, 1);
  assert.equal(asked.own, "b");

  const back = new Tab("a");
  back.page.hold(true);
  back.page.serverHas("b");
  back.page.serverHas("a");
  assert.equal(back.page.outdated.value, false, "the server went back");
  back.page.hold(false);
  assert.equal(back.reloads, 0);
});

test("a browser that forbids memory is asked, and one whose memory is somebody else's begins anew", () => {
  const tab = new Tab("a");
  tab.forgets = true;
  tab.page.serverHas("b");
  assert.deepEqual([tab.reloads, tab.page.outdated.value], [0, true]);
  tab.page.ask();
  assert.equal(tab.reloads, 1);

  for (const memory of ["{", "7", "null", '{"a":1}', '[1,"c"]']) {
    const other = new Tab("a", "b");
    other.memory = memory;
    other.page.serverHas("b");
    assert.equal(other.reloads, 1, memory);
  }
});
