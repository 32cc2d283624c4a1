-- The actions of REAPER's action list in Lua. Every action is a coroutine: it works for a moment in each tick, reads
-- facts, lets a worker outside REAPER decide, and executes its plans. Its documents are those of the Python launcher.

local FOLDER = ...
local r = reaper

local function load(name, ...)
  return assert(loadfile(FOLDER .. "stembridge_scripts/" .. name .. ".lua"))(...)
end

local documents = load("documents")
local facts = load("facts", documents)
local execution = load("execution", documents, facts)

local VERSION = 2
local BUDGET = 0.006 -- seconds of a tick that reading may take
local LOOK = 0.25 -- seconds between two looks at a run
local SIGN = 1.0 -- seconds between two signs that a run is followed
local PATIENCE = 1.0 -- seconds between two looks at which project is active, for stems that wait for theirs
local LONG_PATIENCE = 10.0 -- and between two searches of one that was not theirs, though it was changed since
local SILENT = 20.0 -- seconds after which a worker that said nothing is taken for dead; it speaks every two
local TRIES = 3 -- after so many insertions that the user's own work came between, the next is done in one tick
local FINAL = { done = true, failed = true, cancelled = true }
local ANSWERS = { [1] = "go", [6] = "go", [7] = "no" } -- any other button cancels
local MARK = "[stembridge] "
local SECTION = "stembridge"

local M = {}

local function box(words, kind)
  return r.ShowMessageBox(words, "stembridge", kind or 0)
end

local function tell(words)
  r.ShowConsoleMsg(words .. "\n")
end

-- Ticks

local stop_at = 0

local function wait()
  coroutine.yield()
end

-- Let the tick end if it was long enough.
local function pause()
  if r.time_precise() >= stop_at then wait() end
end

local function wait_seconds(seconds)
  local stop = r.time_precise() + seconds
  while r.time_precise() < stop do wait() end
end

local function explain(why)
  if type(why) == "table" and why.refusal then return why.refusal end
  return "stembridge stopped with an error of its own: " .. tostring(why)
end

-- Runs: one press of an action, as a folder of documents that outlives REAPER.

local Run = {}
Run.__index = Run

local function open_run(folder)
  return setmetatable({ folder = folder, status = {}, placed = 0, told = 0, heard = r.time_precise() }, Run)
end

function Run:path(name)
  return self.folder .. "/" .. name
end

function Run:id()
  return self.folder:match("[^/\\]+$")
end

function Run:has(name)
  return documents.exists(self:path(name))
end

function Run:say(name)
  documents.touch(self:path(name))
end

function Run:request()
  self.asked = self.asked or documents.decode(documents.read_text(self:path("request.json")) or "") or {}
  return self.asked
end

function Run:guids()
  local found = {}
  for number, item in ipairs(self:request().items or {}) do found[number] = item.guid end
  return found
end

-- Read the status if it was replaced; return whether it was.
function Run:refresh()
  local text = documents.read_text(self:path("status.json"))
  local status = text and text ~= self.text and documents.decode(text)
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

function Run:tell_news()
  local lines = self.status.console or {}
  for number = self.told + 1, #lines do tell(lines[number]) end
  self.told = #lines
end

-- Show what a run has to say at its end.
function Run:tell()
  self:tell_news()
  if (self.status.message or "") ~= "" then box(self.status.message) end
end

function Run:ask()
  if self:has("go") or self:has("no") or self:has("cancel") then return end
  self:say(ANSWERS[box(self.status.message, self.status.buttons)] or "cancel")
end

local function make_run(root, request, prefix)
  local id = (prefix or "") .. os.date("%Y%m%d-%H%M%S-") .. r.genGuid(""):gsub("[^%x]", ""):sub(1, 8):lower()
  local folder = root .. "/" .. id
  r.RecursiveCreateDirectory(folder, 0)
  request.version, request.id, request.created = VERSION, id, os.time()
  local is_done, why = documents.write(folder .. "/request.json", request)
  if not is_done then execution.refuse(root .. " cannot be written: " .. tostring(why) .. ".") end
  return open_run(folder)
end

local configuration

local function read_configuration()
  local text = documents.read_text(r.GetResourcePath() .. "/Scripts/stembridge/stembridge.json")
  configuration = text and documents.decode(text)
  if not configuration then
    execution.refuse("stembridge is not set up in this REAPER: run 'stembridge reaper install' once.")
  elseif configuration.version ~= 2 then
    execution.refuse("These scripts are of another version: run 'stembridge reaper install' again.")
  end
end

local function start_worker(run)
  local python = configuration.python
  if not documents.exists(python) then
    execution.refuse(
      "The Python of stembridge is not at " .. python .. " any more: run 'stembridge reaper install' again."
    )
  end
  local words = { python }
  for _, word in ipairs(configuration.launch) do words[#words + 1] = word end
  words[#words + 1] = configuration.home
  words[#words + 1] = run:path("request.json")
  if not r.ExecProcess('"' .. table.concat(words, '" "') .. '"', -1) then
    execution.refuse(python .. " cannot be started: run 'stembridge reaper install' again.")
  end
  run.heard = r.time_precise()
end

-- Ask a worker, and people what it asks; return the run that holds the answer.
local function ask_worker(request, folder, prefix)
  local run = make_run(folder, request, prefix)
  start_worker(run)
  while not run:is_final() do
    wait()
    if run:refresh() and run.status.state == "asking" then run:ask() end
    if run:is_dead() then
      execution.refuse("The worker of stembridge ended unexpectedly; see 'stembridge reaper doctor'.")
    end
  end
  return run
end

-- Notes of items: one line of ours at the end.

local function without_line(notes)
  notes = notes:gsub("\r?\n%[stembridge%] [^\r\n]*", "")
  return (notes:gsub("^%[stembridge%] [^\r\n]*", ""))
end

local function with_line(notes, words)
  notes = without_line(notes)
  return (notes ~= "" and notes .. "\n" or "") .. MARK .. words
end

local function change_notes(item, change)
  local notes = facts.text("MediaItem", item, "P_NOTES")
  local wanted = change(notes)
  if wanted ~= notes then r.GetSetMediaItemInfo_String(item, "P_NOTES", wanted, true) end
end

local known = {} -- pointers of items by GUID; each use checks the GUID, for a pointer may be stale

local function clear_notes(guids)
  for _, item in ipairs(facts.find_items(guids, known, pause)) do
    change_notes(item, without_line)
    pause()
  end
end

local function show_notes(run)
  if run:is_final() then return end
  local items = run:request().items
  run.noted = run.noted or {}
  for _, file in ipairs(run.status.files or {}) do
    for _, number in ipairs(file.items) do
      local guid = items[number + 1].guid
      if file.note ~= "" and run.noted[guid] ~= file.note then
        run.noted[guid] = file.note
        if facts.guid("MediaItem", known[guid]) == guid then
          change_notes(known[guid], function(notes) return with_line(notes, file.note) end)
        end
        pause()
      end
    end
  end
end

-- Placing stems

local function is_same_path(one, other)
  if r.GetOS():find("^Win") then
    one, other = one:lower():gsub("/", "\\"), other:lower():gsub("/", "\\")
  end
  return one == other
end

-- Tell whether this is the project that a run was started in. Items and tracks keep their GUIDs when a project is saved
-- under another name; of two open copies the one that has the old name counts.
local function is_home(run)
  local there, project = run:request().project.path, facts.project()
  if there ~= "" then
    if is_same_path(there, project.path) then return true end
    for _, path in ipairs(project.open) do
      if is_same_path(there, path) then return false end
    end
  end
  if #facts.find_items(run:guids(), known, pause) > 0 then return true end
  local tracks = {}
  for _, item in ipairs(run:request().items) do tracks[item.track] = true end
  for track in facts.tracks() do
    if tracks[facts.guid("MediaTrack", track)] then return true end
  end
  return false
end

local function read_project(run)
  local found, gone = facts.find_items(run:guids(), known, pause)
  local items, wanted = facts.read_items(found, known, pause), {}
  for _, item in ipairs(items) do wanted[item.track] = true end
  for _, item in ipairs(run:request().items) do
    if gone[item.guid] then wanted[item.track] = true end
  end
  local tracks, stems = facts.read_tracks(wanted, known, pause)
  local project = facts.project()
  return { kind = "place", run = run.folder, project = project, items = items, tracks = tracks, stems = stems }
end

local function is_equal(one, other)
  if type(one) ~= "table" or type(other) ~= "table" then return one == other end
  for key, value in pairs(one) do
    if not is_equal(value, other[key]) then return false end
  end
  for key in pairs(other) do
    if one[key] == nil then return false end
  end
  return true
end

-- Let a worker plan the insertion for what the project is like now, and execute the plan; return whether that was done,
-- and not only because another project is active by now.
local function place(run)
  local project = r.EnumProjects(-1)
  for attempt = 0, 99 do
    local count, now = r.GetProjectStateChangeCount(0), read_project(run)
    local answer = ask_worker(now, run.folder, "place-")
    now.version, now.id, now.created = nil, nil, nil
    if r.EnumProjects(-1) ~= project then return false end
    if r.GetProjectStateChangeCount(0) == count or is_equal(read_project(run), now) then
      answer:tell_news()
      if run:is_final() then clear_notes(run:guids()) end
      local is_done, why, made = true, nil, {}
      if answer:has("plan.jsonl") then
        local plan = execution.begin(answer:path("plan.jsonl"), known)
        local goes_on
        repeat
          is_done, goes_on = pcall(plan.step, plan, attempt >= TRIES and 1e9 or nil)
          if is_done and goes_on then wait() end
        until not is_done or not goes_on
        why, made = goes_on, plan.made
      end
      if is_done then
        run.placed = answer.status.ready
        answer:tell()
        execution.build_peaks(made, wait)
        return true
      end
      if r.EnumProjects(-1) ~= project then return false end
      if why ~= execution.STALE then error(why, 0) end
    end
  end
end

-- Place what is ready when the project of the run is active; return whether that was done.
local function place_if_home(run)
  local project, count, now = r.EnumProjects(-1), r.GetProjectStateChangeCount(0), r.time_precise()
  if run.searched == project and (run.counted == count or now < run.searched_at + LONG_PATIENCE) then return false end
  run.searched, run.counted, run.searched_at = project, count, now
  if not is_home(run) then return false end
  run.searched = nil
  local is_done, why = pcall(place, run)
  if not is_done then
    run.placed = run.status.ready
    if type(why) ~= "table" then error(why, 0) end
    box(explain(why))
  end
  return is_done and why
end

local function hint(words)
  if words ~= M.hinted then
    M.hinted = words
    r.Help_Set(words, true)
  end
end

local function end_run(run)
  os.remove(run:path("followed"))
  clear_notes(run:guids())
end

-- Follow a run to its end.
local function follow(run)
  local look_at, sign_at, place_at = 0, 0, 0
  run:say("followed")
  while true do
    local now = r.time_precise()
    if now >= sign_at then
      sign_at = now + SIGN
      run:say("followed")
    end
    if now >= look_at and not run:is_final() then
      look_at = now + LOOK
      if run:refresh() then
        hint(run.status.hint)
        run:tell_news()
        if run.status.state == "asking" then run:ask() end
        show_notes(run)
      end
    end
    if run:is_final() or run:is_dead() then
      if not run.is_told then
        run.is_told = true
        if run:is_final() then
          run:tell()
        else
          end_run(run)
          hint("")
          return box("The worker of stembridge ended unexpectedly. 'Insert finished stems' takes the work up again.")
        end
      end
      if not run:is_wanted() then break end
      hint("stembridge: stems wait for their project to be active")
    end
    if run:is_wanted() and now >= place_at then
      place_at = now + PATIENCE
      place_if_home(run)
    end
    wait()
  end
  hint("")
  end_run(run)
end

-- Actions

local function require_items()
  local pointers = facts.selected_items()
  if #pointers == 0 then execution.refuse("Select one or more audio items first.") end
  return pointers
end

local function find_preset(words)
  words = words:match("^%s*(.-)%s*$")
  local names = {}
  for number, preset in ipairs(configuration.presets) do
    names[number] = preset.name
    if preset.name:lower() == words:lower() then return preset end
  end
  local preset = words:find("^%d+$") and configuration.presets[tonumber(words)]
  if preset then return preset end
  execution.refuse("There is no preset '" .. words .. "'; there are " .. table.concat(names, ", ") .. ".")
end

local function last_preset()
  local last = documents.decode(r.GetExtState(SECTION, "preset"))
  for _, preset in ipairs(configuration.presets) do
    if preset.name == last then return preset end
  end
  return configuration.presets[1]
end

local function ask_preset()
  for number, preset in ipairs(configuration.presets) do
    -- A question has no room for a list.
    local title = (preset.title or "") ~= "" and "  (" .. preset.title .. ")" or ""
    tell(number .. "  " .. preset.name .. title)
  end
  local caption = "Preset (number or name),extrawidth=240"
  local is_given, answer = r.GetUserInputs("stembridge", 1, caption, last_preset().name)
  return is_given and find_preset(answer) or nil
end

local function begin(kind, preset, pointers)
  local project = facts.project()
  local items = facts.read_items(pointers, known, pause)
  local run = make_run(configuration.runs, { kind = kind, preset = preset, project = project, items = items })
  local is_done, why = pcall(start_worker, run)
  if not is_done then
    run:say("dismissed")
    error(why, 0)
  end
  follow(run)
end

local function separate(choose)
  read_configuration()
  local pointers = require_items()
  local preset = choose()
  if not preset then return end
  -- REAPER keeps one line of ASCII; a preset may be called anything.
  local name = documents.encode(preset.name):gsub("[\x80-\xff]+", function(text)
    local codes = {}
    for _, code in utf8.codes(text) do
      local high, low = 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF)
      codes[#codes + 1] = code < 0x10000 and ("\\u%04x"):format(code) or ("\\u%04x\\u%04x"):format(high, low)
    end
    return table.concat(codes)
  end)
  r.SetExtState(SECTION, "preset", name, true)
  begin(preset.kind or "separate", preset.name, pointers)
end

local function ask(kind)
  read_configuration()
  local request = { kind = kind, project = facts.project() }
  if kind == "insert" then request.tracks, request.stems, request.guids = facts.read_all(known, pause) end
  local answer = ask_worker(request, configuration.runs, "query-")
  clear_notes(answer.status.clear)
  answer:tell()
  local runs = {}
  for number, folder in ipairs(answer.status.follow) do
    local run = open_run(folder)
    for _, each in ipairs(answer.status.start) do
      if each == folder then start_worker(run) end
    end
    runs[number] = coroutine.create(follow)
    coroutine.resume(runs[number], run)
  end
  while #runs > 0 do
    for number = #runs, 1, -1 do
      local is_right, why = coroutine.resume(runs[number])
      if not is_right then error(why, 0) end
      if coroutine.status(runs[number]) == "dead" then table.remove(runs, number) end
    end
    wait()
  end
end

-- Do an action in this tick and as many more as it takes; nothing escapes to REAPER.
local function run_action(action)
  local work = coroutine.create(action)
  local function tick()
    stop_at = r.time_precise() + BUDGET
    local is_right, why = coroutine.resume(work)
    if not is_right then
      hint("")
      box(explain(why))
    elseif coroutine.status(work) ~= "dead" then
      r.defer(tick)
    end
  end
  -- A script that deferred once leaves no undo point of its own.
  r.defer(function() end)
  tick()
end

function M.separate_choosing()
  run_action(function() separate(ask_preset) end)
end

function M.separate_again()
  run_action(function() separate(last_preset) end)
end

function M.separate_by(name)
  run_action(function() separate(function() return find_preset(name) end) end)
end

function M.label_files()
  run_action(function()
    read_configuration()
    begin("label", "", require_items())
  end)
end

function M.insert_finished()
  run_action(function() ask("insert") end)
end

function M.show_jobs()
  run_action(function() ask("jobs") end)
end

function M.cancel_jobs()
  run_action(function() ask("cancel") end)
end

return M
