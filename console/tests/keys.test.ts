import { describe, expect, it, vi } from "vitest";
import { type KeyStroke, Keys, meant } from "../src/keys/keys";

function stroke(key: string, code: string, more: Partial<KeyStroke> = {}): KeyStroke {
  return { key, code, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...more };
}

describe("what a stroke means", () => {
  it("is the character on Latin layouts, wherever the key is", () => {
    expect(meant(stroke("a", "KeyA"))).toBe("a");
    // AZERTY: the key that says A stands where Q is on a US keyboard.
    expect(meant(stroke("a", "KeyQ"))).toBe("a");
    expect(meant(stroke("A", "KeyA", { shiftKey: true }))).toBe("a");
  });

  it("is the physical key on Cyrillic layouts", () => {
    expect(meant(stroke("ф", "KeyA"))).toBe("a");
    expect(meant(stroke("в", "KeyD"))).toBe("d");
    expect(meant(stroke("л", "KeyK", { ctrlKey: true }))).toBe("ctrl+k");
    expect(meant(stroke(".", "Slash"), false)).toBe("/");
    expect(meant(stroke(",", "Slash", { shiftKey: true }), false)).toBe("?");
    expect(meant(stroke("?", "Digit7", { shiftKey: true }), false)).toBe("?");
  });
});

describe("keys", () => {
  it("call what is bound, by character and by physical key", () => {
    const keys = new Keys();
    const run = vi.fn();
    keys.bind("a", run);
    expect(keys.press(stroke("a", "KeyA"), false, 0)).toBe(true);
    expect(keys.press(stroke("ф", "KeyA"), false, 0)).toBe(true);
    expect(keys.press(stroke("b", "KeyB"), false, 0)).toBe(false);
    expect(run).toHaveBeenCalledTimes(2);
  });

  it("know sequences, which end when they are slow", () => {
    const keys = new Keys();
    const [go, close] = [vi.fn(), vi.fn()];
    keys.bind("g c", go);
    keys.bind("c", close);
    keys.press(stroke("п", "KeyG"), false, 0);
    keys.press(stroke("с", "KeyC"), false, 500);
    expect([go.mock.calls.length, close.mock.calls.length]).toEqual([1, 0]);
    keys.press(stroke("g", "KeyG"), false, 1_000);
    keys.press(stroke("c", "KeyC"), false, 9_000);
    expect([go.mock.calls.length, close.mock.calls.length]).toEqual([1, 1]);
  });

  it("leave letters alone while somebody types, but not ctrl strokes and Escape", () => {
    const keys = new Keys();
    const run = vi.fn();
    for (const name of ["a", "ctrl+k", "Escape"]) keys.bind(name, run);
    expect(keys.press(stroke("a", "KeyA"), true, 0)).toBe(false);
    expect(keys.press(stroke("k", "KeyK", { ctrlKey: true }), true, 0)).toBe(true);
    expect(keys.press(stroke("Escape", "Escape"), true, 0)).toBe(true);
  });

  it("give a stroke back to the browser when it does not apply", () => {
    const keys = new Keys();
    keys.bind("Enter", () => false);
    expect(keys.press(stroke("Enter", "Enter"), false, 0)).toBe(false);
  });
});
