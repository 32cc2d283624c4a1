-- The window: what there is to choose, how far a run is, and what it asks; by mouse and by keyboard.
--
-- What it shows follows from a state alone. Its fields, of which only the first two must be there:
--   heading          what it is about
--   buttons, button  { name, label } each, and which of them has the focus; Enter presses it, or the first
--   escape           name of the button that Escape presses, and closing the window
--   lines            what is said; long ones are wrapped
--   rows, row        what is chosen from, { label, note } each, and the one that is; with `is_on` several can be
--   checks, check    what more can be switched, { label, is_on } each
--   share            how much of the work is done, 0 to 1
--   focus            "rows", "checks" or "buttons"
--   pressed          name of the button that was pressed

local M = {}
local g = gfx

local PARTS = { "rows", "checks", "buttons" }
local AT = { rows = "row", checks = "check", buttons = "button" }
local KEYS = {
  [9] = "tab", [13] = "enter", [27] = "escape", [32] = "space", [30064] = "up", [1685026670] = "down",
  [1818584692] = "left", [1919379572] = "right", [1885828464] = "page up", [1885824110] = "page down",
  [1752132965] = "home", [6647396] = "end",
}
local STEPS = {
  up = -1, left = -1, down = 1, right = 1, ["page up"] = -10, ["page down"] = 10, home = -1e9, ["end"] = 1e9,
}
local SHIFT = 8
local GAP = 10
local COLOURS = {
  ground = { 0.16, 0.16, 0.17 }, text = { 0.9, 0.9, 0.9 }, faint = { 0.6, 0.6, 0.62 }, field = { 0.23, 0.23, 0.25 },
  chosen = { 0.2, 0.38, 0.52 }, focus = { 0.45, 0.72, 0.95 }, done = { 0.3, 0.6, 0.4 },
}

local function count(state, part)
  return state[part] and #state[part] or 0
end

local function at(state, part)
  return math.max(1, math.min(state[AT[part]] or 1, count(state, part)))
end

-- Return the part that has the focus: the first there is, unless the state says another.
function M.focus(state)
  if state.focus and count(state, state.focus) > 0 then return state.focus end
  for _, part in ipairs(PARTS) do
    if count(state, part) > 0 then return part end
  end
end

local function turn(one)
  if one and one.is_on ~= nil then one.is_on = not one.is_on end
end

local function move_focus(state, step)
  local now = M.focus(state)
  for number, part in ipairs(PARTS) do
    if part == now then
      repeat number = (number + step - 1) % #PARTS + 1 until count(state, PARTS[number]) > 0
      state.focus = PARTS[number]
      return
    end
  end
end

-- Let a key act on a state.
function M.press(state, key)
  local part = M.focus(state)
  local is_button = part == "buttons"
  if key == "tab" or key == "back" then
    move_focus(state, key == "tab" and 1 or -1)
  elseif key == "escape" then
    state.pressed = state.escape
  elseif key == "enter" or (key == "space" and is_button) then
    state.pressed = state.buttons[is_button and at(state, part) or 1].name
  elseif key == "space" then
    turn(state[part][at(state, part)])
  elseif STEPS[key] then
    state[AT[part]] = math.max(1, math.min(at(state, part) + STEPS[key], count(state, part)))
  end
end

-- Let a click act on a state, by what was drawn.
function M.click(state, shapes, x, y)
  for number = #shapes, 1, -1 do
    local one = shapes[number]
    if one.part and x >= one.x and x < one.x + one.w and y >= one.y and y < one.y + one.h then
      state.focus, state[AT[one.part]] = one.part, one.number
      if one.part == "buttons" then
        state.pressed = state.buttons[one.number].name
      else
        turn(state[one.part][one.number])
      end
      return
    end
  end
end

-- Return the lines of a text that are no wider than so much.
function M.wrap(words, width, size)
  local lines = {}
  for paragraph in (words .. "\n"):gmatch("(.-)\r?\n") do
    local line = ""
    for word in paragraph:gmatch("%S+") do
      local longer = line == "" and word or line .. " " .. word
      if line ~= "" and size(longer) > width then
        lines[#lines + 1], line = line, word
      else
        line = longer
      end
    end
    lines[#lines + 1] = line
  end
  return lines
end

-- Return what is drawn, in this order: rectangles and texts; those with a `part` can be clicked.
-- `size` returns width and height of a text.
function M.shapes(state, width, height, size)
  local shapes = { { kind = "rect", x = 0, y = 0, w = width, h = height, colour = "ground" } }
  local inner, line = width - 2 * GAP, select(2, size("X")) + 8
  local focus = M.focus(state)

  local function add(kind, x, y, w, colour, more)
    local one = { kind = kind, x = x, y = y, w = w, h = line, colour = colour }
    for key, value in pairs(more or {}) do one[key] = value end
    shapes[#shapes + 1] = one
  end

  local function add_choice(part, number, x, y, w, words, colour, note)
    local has_focus = focus == part and at(state, part) == number
    add("rect", x, y, w, colour, { part = part, number = number })
    if has_focus then add("rect", x, y, w, "focus", { is_frame = true }) end
    local noted = note and note ~= "" and size(note) + GAP or 0
    add("text", x + 6, y, w - 12 - noted, "text", { words = words })
    if noted > 0 then add("text", x + w - noted, y, noted, "faint", { words = note }) end
  end

  local function label(one)
    return (one.is_on == nil and "" or one.is_on and "[x] " or "[  ] ") .. one.label
  end

  -- From the bottom up, so that the rows have what is left.
  local foot, x = height - GAP - line, GAP
  for number, button in ipairs(state.buttons) do
    local w = size(button.label) + 2 * GAP
    add_choice("buttons", number, x, foot, w, button.label, "field")
    x = x + w + GAP
  end
  if state.share then
    foot = foot - line - GAP
    add("rect", GAP, foot, inner, "field")
    add("rect", GAP, foot, math.floor(inner * math.max(0, math.min(1, state.share))), "done")
  end
  local flow, lines = {}, 1
  x = GAP
  for number, one in ipairs(state.checks or {}) do
    local w = size(label(one)) + 2 * GAP
    if x > GAP and x + w > width - GAP then x, lines = GAP, lines + 1 end
    flow[number] = { x = x, y = (lines - 1) * line, w = w }
    x = x + w + 4
  end
  if #flow > 0 then foot = foot - lines * line - GAP end
  for number, place in ipairs(flow) do
    add_choice("checks", number, place.x, foot + place.y, place.w, label(state.checks[number]), "field")
  end

  local y = GAP
  for _, words in ipairs(M.wrap(state.heading, inner, size)) do
    add("text", GAP, y, inner, "text", { words = words })
    y = y + line
  end
  for _, words in ipairs(state.lines or {}) do
    -- Of a thousand, what has room.
    if y + line > foot then break end
    for _, each in ipairs(M.wrap(words, inner, size)) do
      if y + line <= foot then add("text", GAP, y, inner, "faint", { words = each }) end
      y = y + line
    end
  end
  local room, rows = math.max(1, (foot - y) // line), count(state, "rows")
  local first = math.max(1, math.min(at(state, "rows") - room // 2, rows - room + 1))
  for number = math.tointeger(first), math.tointeger(math.min(rows, first + room - 1)) do
    local one = state.rows[number]
    local is_chosen = one.is_on == nil and number == at(state, "rows")
    add_choice("rows", number, GAP, y, inner, label(one), is_chosen and "chosen" or "field", one.note)
    y = y + line
  end
  return shapes
end

local function draw(shapes)
  for _, one in ipairs(shapes) do
    g.set(table.unpack(COLOURS[one.colour]))
    if one.kind == "rect" then
      g.rect(one.x, one.y, one.w, one.h, one.is_frame and 0 or 1)
    else
      g.x, g.y = one.x, one.y
      g.drawstr(one.words, 4, one.x + one.w, one.y + one.h)
    end
  end
end

-- Open the window where it was last; `place` is what `close` returned then.
function M.open(title, state, place)
  local dock, x, y, w, h = (place or ""):match("^(%d+) (-?%d+) (-?%d+) (%d+) (%d+)$")
  g.init(title, tonumber(w) or 460, tonumber(h) or 480, tonumber(dock) or 0, tonumber(x) or 200, tonumber(y) or 200)
  g.setfont(1, "Arial", 15)
  M.state, M.was_down = state, true
end

-- Show another state, if the window is open; return whether it is.
function M.show(state)
  if M.state then M.state = state end
  return M.state ~= nil
end

-- Close the window; return where it was.
function M.close()
  if not M.state then return nil end
  M.state = nil
  local place = { g.dock(-1, 0, 0, 0, 0) }
  g.quit()
  for number, each in ipairs(place) do place[number] = ("%d"):format(each) end
  return table.concat(place, " ")
end

-- Read keys and mouse, and draw.
function M.tick()
  local state = M.state
  if not state then return end
  local key = g.getchar()
  while key > 0 do
    local name = KEYS[math.tointeger(key)]
    if name == "tab" and math.tointeger(g.mouse_cap) & SHIFT ~= 0 then name = "back" end
    if name then M.press(state, name) end
    key = g.getchar()
  end
  if key < 0 then
    state.pressed = state.pressed or state.escape
    M.state = nil
    return
  end
  local shapes = M.shapes(state, g.w, g.h, g.measurestr)
  local is_down = math.tointeger(g.mouse_cap) & 1 == 1
  if is_down and not M.was_down then M.click(state, shapes, g.mouse_x, g.mouse_y) end
  M.was_down = is_down
  if g.mouse_wheel ~= 0 and count(state, "rows") > 0 then
    state.focus = "rows"
    M.press(state, g.mouse_wheel > 0 and "up" or "down")
  end
  g.mouse_wheel = 0
  draw(M.shapes(state, g.w, g.h, g.measurestr))
  g.update()
end

return M
