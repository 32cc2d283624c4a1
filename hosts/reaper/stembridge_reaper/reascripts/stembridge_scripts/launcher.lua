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
local window = load("window")
local runs = load("runs", documents, execution, window)
local pause, wait, tell, box = runs.pause, runs.wait, runs.tell, runs.box

local LOOK = 0.25 -- seconds between two looks at a run
local PATIENCE = 1.0 -- seconds between two looks at which project is active, for stems that wait for theirs
local LONG_PATIENCE = 10.0 -- and between two searches of one that was not theirs, though it was changed since
local TRIES = 3 -- after so many insertions that the user's own work came between, the next is done in one tick
local SECTION = "stembridge"

local M = {}

local function explain(why)
  if type(why) == "table" and why.refusal then return why.refusal end
  return "stembridge stopped with an error of its own: " .. tostring(why)
end

local known = {} -- pointers of items by GUID; each use checks the GUID, for a pointer may be stale

local function clear_notes(guids, run, is_over)
  facts.clear_notes(guids, known, pause, run, is_over)
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
          facts.note(known[guid], file.note)
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
  local tracks = run:tracks()
  for track in facts.tracks() do
    if tracks[facts.guid("MediaTrack", track)] then return true end
  end
  return false
end

local function read_project(run)
  local found, gone = facts.find_items(run:guids(), known, pause)
  local stems, parts = facts.read_marked(run:request().items, known, pause)
  table.move(parts, 1, #parts, #found + 1, found)
  local items, wanted = facts.read_items(found, known, pause), {}
  for _, item in ipairs(items) do wanted[item.track] = true end
  for _, item in ipairs(run:request().items) do
    if gone[item.guid] then wanted[item.track] = true end
  end
  local tracks = facts.read_tracks(wanted, pause)
  local project = facts.project()
  project.selection = nil -- What was selected when the action was started counts.
  return { kind = "place", run = run.folder, project = project, items = items, tracks = tracks, standing = stems,
    placed = run.done }
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
    local answer = runs.ask_worker(now, run.folder, "place-")
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
        run:note_placed(answer.status)
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
  clear_notes(run:guids(), run:id(), #run.done == 0)
end

-- Show in the window, where one is open, how far a run is; it is closed there, or the run cancelled.
local function show_run(run)
  local view = run.view
  if not view then return end
  if not window.state then
    run.view = nil -- closed; the run goes on
  elseif view.pressed == "cancel" then
    run:say("cancel")
    view.pressed, view.buttons = nil, { view.buttons[1] }
  elseif view.pressed or run:is_final() then
    run.view = nil
    runs.close_window()
  else
    local status = run.status
    view.lines, view.share = { status.hint or "stembridge: starting" }, status.share or 0
    for _, file in ipairs(status.files or {}) do
      view.lines[#view.lines + 1] = file.path:match("[^/\\]+$") .. ": " .. file.words
    end
    window.show(view)
  end
end

-- Follow a run to its end.
local function follow(run)
  local look_at, place_at = 0, 0
  run.is_followed = true
  while true do
    local now = r.time_precise()
    run:sign()
    if now >= look_at and not run:is_final() then
      look_at = now + LOOK
      if run:refresh() then
        hint(run.status.hint or "")
        run:tell_news()
        if run.status.state == "asking" then run:ask() end
        show_notes(run)
      end
    end
    show_run(run)
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

local function find_preset(name)
  for _, preset in ipairs(runs.configuration.presets) do
    if preset.name == name then return preset end
  end
  execution.refuse("There is no preset '" .. name .. "' any more: run 'stembridge reaper install' again.")
end

local function last_preset()
  local last = documents.decode(r.GetExtState(SECTION, "preset"))
  for _, preset in ipairs(runs.configuration.presets) do
    if preset.name == last then return preset end
  end
  return runs.configuration.presets[1]
end

-- Start a run by what was chosen: a preset of the configuration, or a choice of the window.
local function begin(kind, choice, pointers)
  local request = { kind = kind, preset = choice.name or "", project = facts.project() }
  for _, key in ipairs { "provider", "model", "stems", "stem_tracks" } do request[key] = choice[key] end
  request.items = facts.read_items(pointers, known, pause, true)
  local run = runs.make(runs.configuration.runs, request)
  local is_done, why = pcall(runs.start_worker, run)
  if not is_done then
    run:say("dismissed")
    error(why, 0)
  end
  facts.mark(run:guids(), known, pause, run:id())
  if window.state then
    run.view = runs.view(choice.title)
    window.show(run.view)
  end
  follow(run)
end

-- Keep the name of a preset: REAPER keeps one line of ASCII, and a preset may be called anything.
local function remember(preset)
  local name = documents.encode(preset):gsub("[\x80-\xff]+", function(text)
    local codes = {}
    for _, code in utf8.codes(text) do
      local high, low = 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF)
      codes[#codes + 1] = code < 0x10000 and ("\\u%04x"):format(code) or ("\\u%04x\\u%04x"):format(high, low)
    end
    return table.concat(codes)
  end)
  r.SetExtState(SECTION, "preset", name, true)
end

local function separate(choose)
  runs.read_configuration()
  require_items()
  local choice = choose()
  if not choice then return end
  if (choice.name or "") ~= "" then remember(choice.name) end
  -- Once more: the window leaves people all the time to select others.
  begin(choice.kind or "separate", choice, require_items())
end

local function ask(kind)
  runs.read_configuration()
  local request = { kind = kind, project = facts.project() }
  if kind == "insert" then request.tracks, request.standing, request.guids = facts.read_all(known, pause) end
  local answer = runs.ask_worker(request, runs.configuration.runs, "query-")
  clear_notes(answer.status.clear)
  answer:tell()
  local followers = {}
  for number, folder in ipairs(answer.status.follow) do
    local run = runs.open(folder)
    for _, each in ipairs(answer.status.start) do
      if each == folder then runs.start_worker(run) end
    end
    followers[number] = coroutine.create(follow)
    coroutine.resume(followers[number], run)
  end
  while #followers > 0 do
    for number = #followers, 1, -1 do
      local is_right, why = coroutine.resume(followers[number])
      if not is_right then error(why, 0) end
      if coroutine.status(followers[number]) == "dead" then table.remove(followers, number) end
    end
    wait()
  end
end

-- Do an action in this tick and as many more as it takes; nothing escapes to REAPER.
local function run_action(action)
  local work = coroutine.create(action)
  local function tick()
    runs.begin_tick()
    local is_right, why = pcall(window.tick)
    if is_right then is_right, why = coroutine.resume(work) end
    if not is_right then
      runs.close_window()
      hint("")
      box(explain(why))
    elseif coroutine.status(work) == "dead" then
      runs.close_window()
    else
      r.defer(tick)
    end
  end
  -- A script that deferred once leaves no undo point of its own.
  r.defer(function() end)
  tick()
end

function M.separate_choosing()
  run_action(function() separate(function() return runs.choose(last_preset(), facts.project()) end) end)
end

function M.separate_again()
  run_action(function() separate(last_preset) end)
end

function M.separate_by(name)
  run_action(function() separate(function() return find_preset(name) end) end)
end

function M.label_files()
  run_action(function()
    runs.read_configuration()
    begin("label", {}, require_items())
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
