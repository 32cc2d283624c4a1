-- A run: one press of an action, as a folder of documents that outlives REAPER, and the worker it starts; and ticks.

local documents, execution, window = ...
local r = reaper
local M = {}

local VERSION = 2
local BUDGET = 0.006 -- seconds of a tick that reading may take
local SIGN = 1.0 -- seconds between two signs that a run is followed
local SILENT = 20.0 -- seconds after which a worker that said nothing is taken for dead; it speaks every two
local DENIED = 13 -- what the system says where a folder is there and must not be renamed
local AWAY = "The home folder of stembridge is not at %s: "
  .. "bring it or its disk back, or run 'stembridge reaper install' again."
local FINAL = { done = true, failed = true, cancelled = true }
local ANSWERS = { [1] = "go", [6] = "go", [7] = "no" } -- any other button cancels
local BUTTONS = {
  [1] = { { name = "go", label = "OK" }, { name = "cancel", label = "Cancel" } },
  [3] = { { name = "go", label = "Yes" }, { name = "no", label = "No" }, { name = "cancel", label = "Cancel" } },
  [4] = { { name = "go", label = "Yes" }, { name = "cancel", label = "No" } },
}

function M.box(words, kind)
  return r.ShowMessageBox(words, "stembridge", kind or 0)
end

function M.tell(words)
  r.ShowConsoleMsg(words .. "\n")
end

-- Ticks

local stop_at = 0

-- Begin a tick.
function M.begin_tick()
  stop_at = r.time_precise() + BUDGET
end

function M.wait()
  coroutine.yield()
end

-- Let the tick end if it was long enough.
function M.pause()
  if r.time_precise() >= stop_at then M.wait() end
end

-- The window

local PLACE = "window" -- where it was, as REAPER remembers it for good

function M.open_window(title, state)
  window.open(title, state, r.GetExtState("stembridge", PLACE))
end

function M.close_window()
  local place = window.close()
  if place then r.SetExtState("stembridge", PLACE, place, true) end
end

-- Runs

local Run = {}
Run.__index = Run

function M.open(folder)
  local run = { folder = folder, status = {}, placed = 0, told = 0, heard = r.time_precise(), sign_at = 0 }
  run.done = documents.list() -- GUIDs of items whose stems were placed: what people undo does not come again by itself
  return setmetatable(run, Run)
end

-- Return the run's name, unique for ever.
function Run:id()
  return self.folder:match("[^/\\]+$")
end

function Run:path(name)
  return self.folder .. "/" .. name
end

function Run:has(name)
  return documents.exists(self:path(name))
end

function Run:say(name, words)
  documents.touch(self:path(name), words)
end

-- Give a sign, now and then, that the run is followed.
function Run:sign()
  local now = r.time_precise()
  if self.is_followed and now >= self.sign_at then
    self.sign_at = now + SIGN
    self:say("followed")
  end
end

function Run:request()
  self.asked = self.asked or documents.decode(documents.read_text(self:path("request.json")) or "", M.pause) or {}
  return self.asked
end

function Run:guids()
  local found = {}
  for number, item in ipairs(self:request().items or {}) do found[number] = item.guid end
  return found
end

-- Return the tracks of its items, as a set.
function Run:tracks()
  local found = {}
  for _, item in ipairs(self:request().items or {}) do found[item.track] = true end
  return found
end

-- Read the status if it was replaced; return whether it was.
function Run:refresh()
  local text = documents.read_text(self:path("status.json"))
  local status = text and text ~= self.text and documents.decode(text, M.pause)
  if not status or status.version ~= VERSION then return false end
  self.text, self.status, self.heard = text, status, r.time_precise()
  return true
end

function Run:is_final()
  return FINAL[self.status.state] or false
end

function Run:is_dead()
  if self:is_final() then return false end
  return os.time() - (self.status.heartbeat or 0) > SILENT and r.time_precise() - self.heard > (self.text and 2 or SILENT)
end

function Run:is_wanted()
  return (self.status.ready or 0) > self.placed and not self:has("dismissed") and not self:has("cancel")
end

-- Note what was placed by an answer; where that failed, it is not asked for again, and told each second.
function Run:note_placed(answer)
  self.placed = self.status.ready
  if answer.state == "done" then self.placed, self.done = answer.ready, answer.placed or self.done end
end

function Run:tell_news()
  local lines = self.status.console or {}
  for number = self.told + 1, #lines do M.tell(lines[number]) end
  self.told = #lines
end

-- Show what a run has to say at its end.
function Run:tell()
  self:tell_news()
  if (self.status.message or "") ~= "" then M.box(self.status.message) end
end

-- Ask what the worker asks; in the window where one is open, or where there is something to choose from.
function Run:ask()
  if self:has("go") or self:has("no") or self:has("cancel") then return end
  local status = self.status
  if #(status.options or {}) == 0 and not window.state then
    return self:say(ANSWERS[M.box(status.message, status.buttons)] or "cancel")
  end
  local rows = {}
  for number, label in ipairs(status.options or {}) do rows[number] = { label = label, is_on = true } end
  local state = { heading = status.message, rows = rows, buttons = BUTTONS[status.buttons], escape = "cancel" }
  local was_open = window.show(state)
  if not was_open then M.open_window("stembridge", state) end
  while not state.pressed do
    self:sign()
    M.wait()
  end
  if not was_open then M.close_window() end
  local chosen = documents.list()
  for number, row in ipairs(rows) do
    if row.is_on then chosen[#chosen + 1] = number - 1 end
  end
  self:say(state.pressed, #rows > 0 and documents.encode(chosen) or "")
end

function M.make(root, request, prefix)
  local id = (prefix or "") .. os.date("%Y%m%d-%H%M%S-") .. r.genGuid(""):gsub("[^%x]", ""):sub(1, 8):lower()
  local folder = root .. "/" .. id
  r.RecursiveCreateDirectory(folder, 0)
  request.version, request.id, request.created = VERSION, id, os.time()
  local is_done, why = documents.write(folder .. "/request.json", request, M.pause)
  if not is_done then execution.refuse(root .. " cannot be written: " .. tostring(why) .. ".") end
  return M.open(folder)
end

-- Read what `install` wrote for the scripts.
function M.read_configuration()
  local text = documents.read_text(r.GetResourcePath() .. "/Scripts/stembridge/stembridge.json")
  M.configuration = text and documents.decode(text)
  if not M.configuration then
    execution.refuse("stembridge is not set up in this REAPER: run 'stembridge reaper install' once.")
  elseif M.configuration.version ~= 2 then
    execution.refuse("These scripts are of another version: run 'stembridge reaper install' again.")
  end
  -- Made anew there, it would know nothing of what was bought. To rename a folder to itself asks whether it is there.
  local is_there, _, code = os.rename(M.configuration.runs, M.configuration.runs)
  if not is_there and code ~= DENIED then execution.refuse(AWAY:format(M.configuration.home)) end
end

function M.start_worker(run)
  local python = M.configuration.python
  if not documents.exists(python) then
    execution.refuse(
      "The Python of stembridge is not at " .. python .. " any more: run 'stembridge reaper install' again."
    )
  end
  local words = { python }
  for _, word in ipairs(M.configuration.launch) do words[#words + 1] = word end
  words[#words + 1] = M.configuration.home
  words[#words + 1] = run:path("request.json")
  if not r.ExecProcess('"' .. table.concat(words, '" "') .. '"', -1) then
    execution.refuse(python .. " cannot be started: run 'stembridge reaper install' again.")
  end
  run.heard = r.time_precise()
end

-- Ask a worker, and people what it asks; return the run that holds the answer.
function M.ask_worker(request, folder, prefix)
  M.wait() -- To write what was read of a large project takes a tick of its own.
  local run = M.make(folder, request, prefix)
  M.start_worker(run)
  while not run:is_final() do
    M.wait()
    if run:refresh() and run.status.state == "asking" then run:ask() end
    if run:is_dead() then
      execution.refuse("The worker of stembridge ended unexpectedly; see 'stembridge reaper doctor'.")
    end
  end
  return run
end

-- Return the checks for the stems of a choice, all on, where there is something to choose; and whether they become takes.
-- Those of before keep what they were set to.
local function checks_of(choice, before)
  local checks = {}
  for number, stem in ipairs(choice.stems) do
    checks[number] = { name = stem.name, label = stem.title, is_on = true }
  end
  if (choice.kind or "separate") == "separate" then
    checks[#checks + 1] = { label = "As takes of the items", is_on = false }
  end
  for _, check in ipairs(checks) do
    for _, old in ipairs(before or {}) do
      if old.label == check.label then check.is_on = old.is_on end
    end
  end
  return checks
end

local function rows_of(choices)
  local rows = {}
  for number, choice in ipairs(choices) do rows[number] = { label = choice.title, note = choice.note } end
  return rows
end

-- Let people choose in the window what is done, and the stems; a worker tells meanwhile what there is. Nil for nothing.
function M.choose(last, project)
  local choices, row = {}, 1
  for number, preset in ipairs(M.configuration.presets) do
    local title = (preset.title or "") ~= "" and preset.title or preset.name
    choices[number] = { preset = preset.name, kind = preset.kind, title = title, note = preset.name, stems = {} }
    if preset == last then row = number end
  end
  local state = {
    heading = "What shall be done to the selected items?",
    lines = { "Looking for models ..." },
    buttons = { { name = "go", label = "Start" }, { name = "cancel", label = "Cancel" } },
    escape = "cancel", rows = rows_of(choices), row = row,
  }
  local query = M.make(M.configuration.runs, { kind = "choices", project = project }, "query-")
  M.start_worker(query)
  M.open_window("stembridge", state)
  local shown
  repeat
    M.wait()
    if query and query:refresh() and query:is_final() or query and query:is_dead() then
      if #(query.status.choices or {}) > 0 then
        -- The presets may be others by now than those that were installed.
        local chosen = choices[state.row].preset
        choices, shown, state.row = query.status.choices, nil, 1
        for number, choice in ipairs(choices) do
          if choice.preset == chosen then state.row = number end
        end
      end
      local failure = query.status.message or ""
      if not query:is_final() then failure = "The models could not be listed; see 'stembridge reaper doctor'." end
      state.rows, state.lines, query = rows_of(choices), failure ~= "" and { failure } or query.status.console or {}, nil
    end
    if state.row ~= shown then
      shown = state.row
      state.checks = checks_of(choices[shown], state.checks)
    end
  until state.pressed
  if state.pressed ~= "go" then
    M.close_window()
    return nil
  end
  local choice, names, stem_tracks = choices[shown], documents.list(), ""
  for _, check in ipairs(state.checks) do
    if check.is_on and check.name then names[#names + 1] = check.name end
    if check.is_on and not check.name then stem_tracks = "takes" end
  end
  if #names == 0 and #choice.stems > 0 then execution.refuse("Choose one stem at least.") end
  local is_all = #names == #choice.stems
  return { name = choice.preset, kind = choice.kind, title = choice.title, provider = choice.provider,
    model = choice.model, stems = is_all and documents.list() or names, stem_tracks = stem_tracks }
end

-- Return the window of a run.
function M.view(title)
  local buttons = { { name = "hide", label = "Hide (the run goes on)" }, { name = "cancel", label = "Cancel this run" } }
  return { heading = title, buttons = buttons, escape = "hide" }
end

return M
